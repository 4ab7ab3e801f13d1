package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/halo-ha/halo/sdk/host"
)

// The deadlines of ending a process.
const (
	// stopTimeout is for a process that is not needed any more, or restarted.
	stopTimeout = 3 * time.Second
	// endTimeout is for one that is to be killed; longer takes only a process
	// that the kernel itself cannot end.
	endTimeout = 2 * time.Second
	// killReserve is what is left of a stop's deadline for the kill.
	killReserve = 300 * time.Millisecond
)

// delivery passes a process's messages to the listener until it is closed.
// The lock makes sure that nothing follows SessionLost.
type delivery struct {
	process     *process
	incarnation uint64
	session     *Session

	guard  sync.Mutex
	closed bool
	flood  flood
}

// message passes m on. It returns an error when the plugin sends more than
// its probes can honestly produce.
func (d *delivery) message(m host.Message) error {
	d.guard.Lock()
	defer d.guard.Unlock()
	if d.closed {
		return nil
	}
	probes, rate := d.session.load()
	if !d.flood.allow(time.Now(), m, rate) {
		return fmt.Errorf("it sent more than %d times the results that its %d probes can produce", floodFactor, probes)
	}
	if _, ok := m.(*host.Heartbeat); !ok {
		d.process.listener.MessageReceived(d.process.id, d.incarnation, m)
	}
	return nil
}

// lost tells the listener, once, that nothing follows.
func (d *delivery) lost(cause string) {
	d.guard.Lock()
	defer d.guard.Unlock()
	if !d.closed {
		d.closed = true
		d.process.listener.SessionLost(d.process.id, d.incarnation, cause)
	}
}

// serve stays with a running process until it ends or is to end.
func (p *process) serve(l *launched, incarnation uint64, v verdict) verdict {
	started := time.Now()
	session := newSession(l.session)
	p.guard.Lock()
	p.session, p.validate = session, l.validate
	p.shown.PID, p.shown.RunsAs, p.shown.Started = l.pid, l.runsAs, started
	p.shown.Path, p.shown.Version, p.shown.Protocol = l.path, l.description.Version, l.protocol
	p.shown.Types, p.shown.Warnings = l.description.Types, l.warnings
	p.shown.Heartbeat = host.Heartbeat{}
	p.guard.Unlock()
	p.show(StateRunning, "")
	p.listener.SessionOpened(p.id, incarnation, session)

	d := &delivery{process: p, incarnation: incarnation, session: session}
	beats := make(chan host.Heartbeat, 1)
	broken := make(chan error, 1)
	received := make(chan struct{})
	go func() {
		defer close(received)
		broken <- p.receive(l.running, d, beats)
	}()
	restart, cause := p.watch(l.running, beats, broken)

	graceful, timeout := cause == nil, endTimeout
	if graceful {
		p.show(StateStopping, "")
		timeout = stopTimeout
	} else {
		// The listener learns of it before the process is buried, and takes no
		// more from it.
		d.lost(cause.Error())
	}
	end := p.end(l.running, graceful, timeout)
	<-received
	v.healthy, v.restart = time.Since(started), restart
	if graceful {
		d.lost("stopped on request")
	} else {
		v.err = explainEnd(cause, end)
	}
	p.guard.Lock()
	p.session, p.validate = nil, nil
	p.shown.PID, p.shown.Started = 0, time.Time{}
	if !graceful {
		p.shown.LastWords = end.words
	}
	p.guard.Unlock()
	return v
}

// receive passes on what the process sends until the stream breaks.
func (p *process) receive(r running, d *delivery, beats chan host.Heartbeat) error {
	for {
		m, err := r.Recv()
		if err != nil {
			return &streamError{err}
		}
		if err := d.message(m); err != nil {
			return err
		}
		if beat, ok := m.(*host.Heartbeat); ok {
			// Only the newest counts.
			select {
			case <-beats:
			default:
			}
			beats <- *beat
		}
	}
}

// watch returns when the process has ended or must be killed, with the cause,
// or without one when it is to stop, and then whether it is to be started
// again. Any loss of the stream counts as the death of the process: it is
// never reconnected to.
func (p *process) watch(r running, beats <-chan host.Heartbeat, broken <-chan error) (restart bool, cause error) {
	pulse := newHeartbeatWatch(time.Now())
	timer := time.NewTimer(time.Until(pulse.deadline()))
	defer timer.Stop()
	for {
		select {
		case <-p.quit:
			return false, nil
		case <-p.again:
			return true, nil
		case err := <-broken:
			if _, ok := errors.AsType[*streamError](err); ok {
				// Most likely because the process is about to be dead, and
				// then how it died says more.
				select {
				case <-r.Dead():
					return false, errDied
				case <-time.After(streamGrace):
				}
			}
			return false, err
		case <-r.Dead():
			return false, errDied
		case beat := <-beats:
			pulse.beat(time.Now())
			p.guard.Lock()
			p.shown.Heartbeat = beat
			p.guard.Unlock()
			p.show(StateRunning, "")
		case <-timer.C:
			switch pulse.look(time.Now()) {
			case pulseSteady:
			case pulseSuspect:
				p.show(StateUnresponsive, "")
			case pulseLost:
				return false, fmt.Errorf("unresponsive: no heartbeat for %s", lostAfter)
			}
		}
		timer.Reset(time.Until(pulse.deadline()))
	}
}

// streamGrace is how long a process whose session broke has to die by itself.
const streamGrace = 100 * time.Millisecond

// streamError says that the session broke.
type streamError struct{ error }

func (e *streamError) Error() string { return "session lost: " + e.error.Error() }

func (e *streamError) Unwrap() error { return e.error }

var errDied = errors.New("the process ended")

// end ends the process within timeout, or sooner if the Host is closing.
func (p *process) end(r running, graceful bool, timeout time.Duration) ending {
	by := time.Now().Add(timeout)
	p.guard.Lock()
	if p.quitting && p.stopBy.Before(by) {
		by = p.stopBy
	}
	p.guard.Unlock()
	ctx, cancel := context.WithDeadline(context.Background(), by)
	defer cancel()
	return r.End(ctx, graceful)
}

// explainEnd joins why a process was given up, how it ended and what it said.
func explainEnd(cause error, end ending) error {
	switch {
	case errors.Is(cause, errDied) && end.cause != "":
		return fmt.Errorf("%s: %s", end.how, end.cause)
	case errors.Is(cause, errDied):
		return errors.New(end.how)
	case end.cause != "":
		return fmt.Errorf("%w (%s: %s)", cause, end.how, end.cause)
	case end.how != "":
		return fmt.Errorf("%w (%s)", cause, end.how)
	}
	return cause
}
