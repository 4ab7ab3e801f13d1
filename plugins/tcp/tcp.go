// Package tcp is the built-in plugin halo-check-tcp: the check type "tcp",
// which passes when the target completes a TCP handshake.
//
// A server that completes it and resets the connection passes as well: the
// handshake is all that is asked for.
//
// It sends nothing and reads nothing; the connection is closed at once, in
// order (see sdk/netloop for why not by a reset). All probes of the process
// share one netloop.Loop, which is opened by the first of them: describing and
// validating open no descriptor. cmd/halo-plugins calls Plugin; the SDK calls
// the checker, from any goroutine.
//
// Read Checker first.
package tcp

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/netloop"
)

// Type declares the check type "tcp". It has no settings of its own: whom to
// connect to and from where is the probe's target, which every check has.
func Type() check.Type {
	c := &Checker{}
	c.probes.New = func() any {
		p := &probe{checker: c}
		p.answered = p.finish
		return p
	}
	return check.New("tcp", "Pass when the target completes a TCP handshake.",
		func(struct{}) (check.Checker, error) { return c, nil })
}

// Checker connects. It holds nothing of a single probe, so one serves them all.
type Checker struct {
	mu     sync.Mutex
	loop   *netloop.Loop // nil until the first probe, and after a loop has broken down
	probes sync.Pool     // of *probe
}

// probe carries one probe's owner through the loop.
type probe struct {
	checker  *Checker
	answered func(netloop.Answer) // finish, bound once
	done     func(check.Result)
	bind     netip.Addr
}

// Start begins a connection and returns at once.
func (c *Checker) Start(deadline time.Time, t check.Target, done func(check.Result)) {
	if t.Port == 0 || !t.Address.IsValid() {
		done(check.NotKnown(check.ReasonLocalError, "no address and port to connect to; set connect_port"))
		return
	}
	loop, err := c.running()
	if err != nil {
		done(check.NotKnown(check.ReasonLocalError, err.Error()))
		return
	}
	p := c.probes.Get().(*probe)
	p.done, p.bind = done, t.Bind
	loop.Dial(netip.AddrPortFrom(t.Address, t.Port), t.Bind, deadline, p.answered)
}

// Check is Start for callers that wait.
func (c *Checker) Check(ctx context.Context, t check.Target) check.Result {
	deadline, ok := ctx.Deadline()
	if !ok {
		// A probe without a deadline does not exist; this is for tests by hand.
		deadline = time.Now().Add(time.Hour)
	}
	result := make(chan check.Result, 1)
	c.Start(deadline, t, func(r check.Result) { result <- r })
	select {
	case r := <-result:
		return r
	case <-ctx.Done():
		return check.FromError(ctx.Err())
	}
}

// running returns the loop, opening it at need: a lack of descriptors passes.
func (c *Checker) running() (*netloop.Loop, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loop == nil {
		loop, err := netloop.Open()
		if err != nil {
			return nil, err
		}
		c.loop = loop
		go func() {
			_ = loop.Run(context.Background()) // Its attempts are answered; the next probe opens another.
			c.mu.Lock()
			defer c.mu.Unlock()
			c.loop = nil
		}()
	}
	return c.loop, nil
}

// finish turns the loop's answer into the probe's result.
func (p *probe) finish(a netloop.Answer) {
	done, bind := p.done, p.bind
	p.done = nil
	p.checker.probes.Put(p)
	r := a.Result()
	if a.State == netloop.BindFailed {
		r.Detail = "bind to " + bind.String() + ": " + a.Errno.Error()
	}
	done(r)
}
