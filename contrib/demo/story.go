package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The addresses are of the ranges for documentation (RFC 5737). The VIP's
// advertisement interval makes the down interval 3 x 0.1 s and a skew of up to
// 0.1 s (RFC 9568 section 6.1).
const (
	virtualIP = "192.0.2.10"
	service   = virtualIP + ":80"
	instance  = "web"
	served    = "web"
)

// introduction is the picture of the network.
const introduction = `   client  192.0.2.101 ──┬── 192.0.2.1   lb1   priority 150  ┐ virtual IP
                         ├── 192.0.2.2   lb2   priority 100  ┘ 192.0.2.10
                         ├── 192.0.2.21  web1
                         └── 192.0.2.22  web2`

// story is the state the chapters share.
type story struct {
	*narrator
	ctx  context.Context
	cast *cast
}

// tell plays the chapters in order. The first that finds that something did
// not happen ends it.
func tell(ctx context.Context, bin string, n *narrator) (err error) {
	cast, err := assemble(bin)
	if err != nil {
		return fmt.Errorf("set the stage: %w", err)
	}
	defer func() { err = errors.Join(err, cast.leave()) }()
	s := &story{narrator: n, ctx: ctx, cast: cast}
	chapters := []struct {
		title string
		play  func() error
	}{
		{"Two balancers, one service", s.steady},
		{"A web server dies, and comes back", s.serverDies},
		{"The active balancer loses power", s.powerLoss},
		{"It returns", s.returns},
	}
	for _, chapter := range chapters {
		s.begin(chapter.title)
		if err := chapter.play(); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", strings.ToLower(chapter.title), err), cast.lastWords())
		}
	}
	s.gap()
	s.print(s.bold("Everything shown here happened.") + " The network it ran in is gone again.")
	return nil
}

// steady starts everything and shows the normal state.
func (s *story) steady() error {
	s.print(introduction)
	lb1, lb2 := s.cast.lb1, s.cast.lb2
	content, err := os.ReadFile(lb1.config)
	if err != nil {
		return err
	}
	s.show(lb1.name, "cat "+filepath.Base(lb1.config), string(content))
	if err := errors.Join(lb1.run(), lb2.run()); err != nil {
		return err
	}
	s.say("Both run `halo run --config halo.toml`; lb2's file differs in router_id and priority.")
	if err := errors.Join(lb1.becomes("active"), lb2.becomes("backup"), s.owns(lb1, lb2)); err != nil {
		return err
	}
	s.say("lb1 has the higher priority: it is active and holds %s. lb2 is backup.", virtualIP)
	for _, server := range []*webServer{s.cast.web1, s.cast.web2} {
		for _, balancer := range []*balancer{lb1, lb2} {
			if err := balancer.serves(server, true); err != nil {
				return err
			}
		}
	}
	s.say("Both web servers passed their checks and are in the kernel's table of both balancers.")
	if err := s.cast.ask(); err != nil {
		return err
	}
	if err := s.answeredAfter(time.Now()); err != nil {
		return err
	}
	s.say("The client asks http://%s every %d ms, on a new connection each time.", virtualIP, askEvery.Milliseconds())
	met, err := s.watch(2 * time.Second)
	if err != nil {
		return err
	}
	s.say("Client, %.0f seconds: %v.", met.span.Seconds(), met)
	if len(met.failed) > 0 || met.answered["web1"] == 0 || met.answered["web2"] == 0 {
		return fmt.Errorf("want answers by both web servers and no failure, first failure: %s", met.firstFailure())
	}
	return s.status(lb1)
}

// serverDies kills one web server and starts it again.
func (s *story) serverDies() error {
	lb1, web1 := s.cast.lb1, s.cast.web1
	killed := time.Now()
	if err := web1.killAll(); err != nil {
		return err
	}
	s.say("web1's process is killed.")
	if err := errors.Join(lb1.serves(web1, false), s.cast.lb2.serves(web1, false)); err != nil {
		return err
	}
	left := time.Now()
	s.say("It has left the table, %.1f s after the kill: the check failed.", left.Sub(killed).Seconds())
	met, err := s.watch(2 * time.Second)
	if err != nil {
		return err
	}
	before := s.cast.diary.during(killed, left)
	s.say("Client: %d requests failed until then; in the %.0f seconds since, %v.", len(before.failed), met.span.Seconds(), met)
	if len(met.failed) > 0 || met.answered["web1"] > 0 || met.answered["web2"] == 0 {
		return fmt.Errorf("want answers by web2 alone and no failure, first failure: %s", met.firstFailure())
	}
	if err := s.status(lb1); err != nil {
		return err
	}
	if err := web1.serve(); err != nil {
		return err
	}
	s.say("web1 is started again.")
	if err := errors.Join(lb1.serves(web1, true), s.cast.lb2.serves(web1, true)); err != nil {
		return err
	}
	s.say("Its checks pass, it is back in the table.")
	met, err = s.watch(2 * time.Second)
	if err != nil {
		return err
	}
	s.say("Client, %.0f seconds: %v.", met.span.Seconds(), met)
	if len(met.failed) > 0 || met.answered["web1"] == 0 {
		return fmt.Errorf("want answers by web1 again and no failure, first failure: %s", met.firstFailure())
	}
	return nil
}

// powerLoss takes the active balancer away and measures what the client feels.
func (s *story) powerLoss() error {
	lb1, lb2 := s.cast.lb1, s.cast.lb2
	off, err := lb1.powerOff()
	if err != nil {
		return err
	}
	s.say("lb1 is off: at one instant its processes are dead and its cable is, too.")
	if err := errors.Join(lb2.becomes("active"), s.arrives(lb2)); err != nil {
		return err
	}
	s.say("lb2 heard nothing for 3 intervals and its skew, 0.36 s in all: it is active.")
	if err := s.answeredAfter(off); err != nil {
		return err
	}
	if _, err := s.watch(2 * time.Second); err != nil {
		return err
	}
	met := s.cast.diary.during(off.Add(-time.Second), time.Now())
	s.say("%s %d ms without an answer, measured at the client.\n%v; %d of them waited for TCP to send again.",
		s.bold("Blackout:"), met.blackout.Milliseconds(), met, met.late)
	leftOver, err := lb1.has(virtualIP)
	if err != nil {
		return err
	}
	if !leftOver {
		return fmt.Errorf("lb1 lost %s with its power: there is no left-over to clean up", virtualIP)
	}
	return s.status(lb2)
}

// returns brings the first balancer back, with the address it died with.
func (s *story) returns() error {
	lb1, lb2 := s.cast.lb1, s.cast.lb2
	back := time.Now()
	s.say("lb1 comes back. Its kernel still has %s from before.", virtualIP)
	if err := lb1.run(); err != nil {
		return err
	}
	if err := eventually("lb1's left-over address is gone", func() (bool, error) {
		present, err := lb1.has(virtualIP)
		return !present, err
	}); err != nil {
		return err
	}
	s.say("halo has started and removed the left-over: lb2 owns the address now.")
	if err := errors.Join(lb1.serves(s.cast.web1, true), lb1.serves(s.cast.web2, true)); err != nil {
		return err
	}
	s.say("It has adopted the kernel's table of before: both web servers stay in it.")
	if err := lb1.plug(); err != nil {
		return err
	}
	s.say("Its cable is plugged in.")
	if err := errors.Join(lb1.becomes("active"), lb2.becomes("backup"), s.owns(lb1, lb2)); err != nil {
		return err
	}
	s.say("lb1 has the higher priority and takes %s back; lb2 lets it go.", virtualIP)
	if err := errors.Join(lb1.finds(s.cast.web1, "up"), lb1.finds(s.cast.web2, "up")); err != nil {
		return err
	}
	if _, err := s.watch(2 * time.Second); err != nil {
		return err
	}
	met := s.cast.diary.during(back, time.Now())
	s.say("Client, all that time: %v.", met)
	if len(met.failed) > 0 || met.total() == 0 {
		return fmt.Errorf("want no lost request, first failure: %s", met.firstFailure())
	}
	return s.status(lb1)
}

// watch lets the story stand still and accounts for the requests asked
// meanwhile, when the last of them has ended: for that long, and longer where the
// machine is so slow that the client has hardly asked.
func (s *story) watch(span time.Duration) (account, error) {
	from := time.Now()
	select {
	case <-time.After(span):
	case <-s.ctx.Done():
		return account{}, s.ctx.Err()
	}
	var to time.Time
	if err := eventually("requests of the client", func() (bool, error) {
		to = time.Now()
		return s.cast.diary.during(from, to).requests() >= enough, nil
	}); err != nil {
		return account{}, err
	}
	if err := s.answeredAfter(to); err != nil {
		return account{}, err
	}
	return s.cast.diary.during(from, to), nil
}

// enough requests are what an account can be given of.
const enough = 5

// answeredAfter waits until requests asked after a moment are answered.
func (s *story) answeredAfter(moment time.Time) error {
	return eventually("answers to the client", func() (bool, error) {
		return s.cast.diary.ended(moment) >= enough, nil
	})
}

// owns waits until one balancer alone has the virtual address.
func (s *story) owns(owner, other *balancer) error {
	return eventually(virtualIP+" on "+owner.name+" alone", func() (bool, error) {
		here, err := owner.has(virtualIP)
		if err != nil {
			return false, err
		}
		there, err := other.has(virtualIP)
		return here && !there, err
	})
}

// arrives waits until a balancer has the virtual address, wherever else it may
// have been left behind.
func (s *story) arrives(b *balancer) error {
	return eventually(virtualIP+" on "+b.name, func() (bool, error) { return b.has(virtualIP) })
}

// status shows what halo says of itself.
func (s *story) status(b *balancer) error {
	output, err := b.status(s.ctx)
	if err != nil {
		return err
	}
	s.show(b.name, "halo status", output)
	return nil
}

func (a account) firstFailure() string {
	if len(a.failed) == 0 {
		return "none"
	}
	return a.failed[0].failure
}

// eventually waits until a condition is true. The limit is far beyond what a
// loaded machine needs; it ends a story in which something did not happen.
func eventually(what string, condition func() (bool, error)) error {
	const limit = time.Minute
	for end := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		done, err := condition()
		switch {
		case err != nil:
			return fmt.Errorf("wait for %s: %w", what, err)
		case done:
			return nil
		case time.Now().After(end):
			return fmt.Errorf("waited %v in vain for %s", limit, what)
		}
	}
}
