package conformance

import (
	"context"
	"fmt"
	"os"
	"syscall"
)

func lifelineCases() []testCase {
	return []testCase{
		{"lifeline", "end_of_file_ends_it", with(endOfFile)},
		{"lifeline", "term_needs_a_drain", with(termNeedsADrain)},
		{"lifeline", "session_may_be_opened_again", with(again)},
	}
}

// endOfFile is a core that was killed.
func endOfFile(ctx context.Context, k *kit, p *process) error {
	s, err := k.open(ctx, p, 1, k.probe(1))
	if err != nil {
		return err
	}
	defer s.Close()
	if err := p.lifeline.Close(); err != nil {
		return err
	}
	if err := p.exits(ctx, "the end of its lifeline"); err != nil {
		return err
	}
	left, err := os.ReadDir(p.sockets)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("it leaves %s behind", left[0].Name())
	}
	return nil
}

// termNeedsADrain is a service manager that signals every process of the unit:
// the core has to come first.
func termNeedsADrain(ctx context.Context, k *kit, p *process) error {
	s, err := k.open(ctx, p, 1, k.probe(1))
	if err != nil {
		return err
	}
	defer s.Close()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	for range 3 { // Whatever it says next, it must still say it.
		if _, err := s.next(); err != nil {
			return fmt.Errorf("after SIGTERM, with its lifeline open: %w", err)
		}
	}
	if err := p.Drain(ctx); err != nil {
		return err
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return p.exits(ctx, "SIGTERM, drained")
}

// again opens one session after the other in one process.
func again(ctx context.Context, k *kit, p *process) error {
	for incarnation := uint64(1); incarnation <= 3; incarnation++ {
		s, err := k.open(ctx, p, incarnation, k.probe(1))
		if err != nil {
			return fmt.Errorf("session %d: %w", incarnation, err)
		}
		s.Close()
	}
	return nil
}
