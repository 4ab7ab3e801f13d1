package balance

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/halo-ha/halo/core/pool"
)

// ErrStopped is what Snapshot returns when Run has ended.
var ErrStopped = errors.New("balancing has stopped")

// Snapshot is the state of everything, for people.
type Snapshot struct {
	// Services are the virtual servers by name.
	Services map[string]pool.Snapshot
	// InUse is false while there is no reason to look at the kernel.
	InUse bool
	// Synced says that the kernel has what is wanted, as far as is known;
	// LastSync is when it was last compared without an error.
	Synced   bool
	LastSync time.Time
	// Error is why the kernel does not have what is wanted, or why that cannot be
	// recorded; empty when all is well.
	Error string
	// Operations counts the changes made to the kernel, Drifts those among
	// them that others made necessary, Dropped the results that were lost
	// because the kernel was too slow to keep up.
	Operations, Drifts, Dropped uint64
}

// Snapshot returns the state as Run has it when it comes to answer. It fails when
// ctx ends before, and with ErrStopped when Run has ended.
func (b *Balancer) Snapshot(ctx context.Context) (Snapshot, error) {
	answer := make(chan Snapshot, 1)
	if !b.mail.ask(answer) {
		return Snapshot{}, ErrStopped
	}
	select {
	case s, ok := <-answer:
		if !ok {
			return Snapshot{}, ErrStopped
		}
		return s, nil
	case <-ctx.Done():
		return Snapshot{}, context.Cause(ctx)
	}
}

// answer sends a snapshot to everybody who asked.
func (b *Balancer) answer(asked []chan Snapshot) {
	for _, answer := range asked {
		answer <- b.snapshot() // Has room, and each gets a copy of its own.
	}
}

func (b *Balancer) snapshot() Snapshot {
	s := Snapshot{
		Services: make(map[string]pool.Snapshot, len(b.services)),
		InUse:    b.inUse(), Synced: b.status.err == nil, LastSync: b.status.lastSync,
		Operations: b.status.operations, Drifts: b.drift.total, Dropped: b.status.dropped,
	}
	for name, v := range b.services {
		s.Services[name] = v.pool.Snapshot()
		s.Synced = s.Synced && v.introduced && !v.dirty()
	}
	if err := errors.Join(b.status.err, b.record.err); err != nil {
		s.Error = err.Error()
	}
	return s
}

// status is how the work with the kernel goes.
type status struct {
	err      error // of the last comparison; nil when it went well
	failures int   // comparisons in a row that went wrong
	// blind says that the kernel could not even be read.
	blind      bool
	lastSync   time.Time
	operations uint64
	dropped    uint64
}

// failed notes an error, and logs it if it is not the one that is known.
func (s *status) failed(log *slog.Logger, err error) {
	if s.err == nil || s.err.Error() != err.Error() {
		log.Error("IPVS table is not as wanted, will try again", "error", err)
	}
	s.err = err
	s.failures++
}

// recovered notes a success.
func (s *status) recovered(log *slog.Logger) {
	if s.err != nil {
		log.Info("IPVS table is as wanted again", "failures", s.failures)
	}
	s.err, s.failures = nil, 0
}
