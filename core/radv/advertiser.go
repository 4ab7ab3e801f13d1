package radv

import "time"

// The protocol constants of RFC 4861 §10.
const (
	// initialAdvertisements come at most initialInterval apart.
	initialAdvertisements = 3
	initialInterval       = 16 * time.Second
	finalAdvertisements   = 3
	// quiet is the least time between two advertisements to all nodes, whatever
	// they are sent for.
	quiet = 3 * time.Second
	// answerDelay is how long at most a host waits for an answer.
	answerDelay = 500 * time.Millisecond
)

// Advertiser says when one virtual router advertises itself to hosts. Make it with
// New; it must not be copied. It is not safe for concurrent use.
type Advertiser struct {
	config Config
	random func(n time.Duration) time.Duration

	phase Phase
	// due is when the next advertisement is to be sent.
	due time.Time
	// last is when one was sent last; it outlasts the phases, since hosts count
	// what they hear and not why.
	last time.Time
	// left is how many there are still of the initial ones, or of the final.
	left int
}

// New makes a silent Advertiser. The configuration must be valid. random answers a
// time below n.
func New(config Config, random func(n time.Duration) time.Duration) *Advertiser {
	return &Advertiser{config: config, random: random}
}

// Handle takes one event that happened at now and appends to actions what has to
// be done about it, in order.
func (a *Advertiser) Handle(now time.Time, event Event, actions []Action) []Action {
	switch e := event.(type) {
	case Began:
		if a.phase != Advertising {
			a.begin(now)
			return a.fire(now, actions)
		}
	case Ceased:
		a.cease(now, e.Withdrawn)
		return a.fire(now, actions)
	case Solicited:
		a.solicited(now)
	case Unsent:
		if a.phase != Silent {
			// Soon again, and no sooner than if it had been heard.
			a.due = earlier(a.due, now.Add(quiet))
		}
	case DeadlineReached:
		return a.fire(now, actions)
	case Reconfigured:
		if a.config.Equal(&e.Config) {
			return actions
		}
		a.config = e.Config
		if a.phase == Advertising {
			a.begin(now) // RFC 4861 §6.2.4 allows it, and hosts learn it at once.
			return a.fire(now, actions)
		}
	}
	return actions
}

// Deadline is when Handle wants to see DeadlineReached next, if ever.
func (a *Advertiser) Deadline() (time.Time, bool) { return a.due, a.phase != Silent }

// Snapshot is what an operator may know about an Advertiser.
type Snapshot struct {
	Phase Phase
	// Last is when an advertisement was sent last, zero for never; Next is when
	// the next one is due, zero while there is none.
	Last, Next time.Time
}

// Snapshot describes the Advertiser.
func (a *Advertiser) Snapshot() Snapshot {
	s := Snapshot{Phase: a.phase, Last: a.last}
	if a.phase != Silent {
		s.Next = a.due
	}
	return s
}

// begin sends the first advertisement as soon as that is allowed. To the letter of
// RFC 4861 §6.2.4 it could wait for 16 seconds; but hosts may have missed the ones
// of the router before.
func (a *Advertiser) begin(now time.Time) {
	a.phase, a.left = Advertising, initialAdvertisements
	a.due = a.allowed(now)
}

// cease ends what was begun.
func (a *Advertiser) cease(now time.Time, withdrawn bool) {
	switch {
	case !withdrawn || a.phase == Advertising && a.config.Lifetime == 0:
		a.phase = Silent
	case a.phase == Advertising:
		// RFC 4861 §6.2.5.
		a.phase, a.left = Withdrawing, finalAdvertisements
		a.due = a.allowed(now)
	}
}

// allowed is the earliest time from now on at which all nodes may be sent an
// advertisement (RFC 4861 §6.2.6).
func (a *Advertiser) allowed(now time.Time) time.Time {
	if rested := a.last.Add(quiet); !a.last.IsZero() && rested.After(now) {
		return rested
	}
	return now
}

// solicited answers a host, and with it all that ask until then (RFC 4861 §6.2.6):
// after a random time, so that routers do not answer all at once; not before the
// pause between two is over; and with the next one that is due anyway if that
// comes first.
func (a *Advertiser) solicited(now time.Time) {
	if a.phase != Advertising {
		return
	}
	a.due = earlier(a.due, a.allowed(now).Add(a.random(answerDelay+1)))
}

// fire sends what is due.
func (a *Advertiser) fire(now time.Time, actions []Action) []Action {
	if a.phase == Silent || now.Before(a.due) {
		return actions
	}
	a.last = now
	if a.left > 0 {
		a.left--
	}
	if a.phase == Withdrawing {
		a.due = now.Add(quiet)
		if a.left == 0 {
			a.phase = Silent
		}
		return append(actions, Send{})
	}
	// RFC 4861 §6.2.4: whatever it was sent for, the wait for the next begins
	// anew.
	wait := a.config.MinInterval + a.random(a.config.MaxInterval-a.config.MinInterval+1)
	if a.left > 0 {
		wait = min(wait, initialInterval)
	}
	a.due = now.Add(wait)
	return append(actions, Send{Lifetime: a.config.Lifetime})
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
