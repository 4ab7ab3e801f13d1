package radvspeaker

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/halo-ha/halo/core/radv"
)

// openAgain is how long a socket that could not be opened is left alone.
const openAgain = time.Second

// router is one virtual router that advertises, or has until a moment ago.
type router struct {
	speaker *Speaker
	name    string
	want    Router
	machine *radv.Advertiser
	actions []radv.Action

	// conn is nil while there is nothing to say; place is where it is.
	conn  Conn
	place Place
	// retry is when to try again to open it.
	retry time.Time
	// failed is why the last attempt to open or to send ended, empty if it did
	// well.
	failed string
	// idle says that the link does not forward, told once.
	idle bool

	sent, sendErrors uint64
	// asked says that somebody waits for an answer.
	asked atomic.Bool
	heard [radv.DropReasonCount]atomic.Uint64
}

func newRouter(s *Speaker, name string, want Router) *router {
	return &router{speaker: s, name: name, want: want, machine: radv.New(*want.Config, s.options.Random)}
}

// pass makes the router do what the facts say. It ends when it is not configured
// any more and has told that to whom it may concern.
func (r *router) pass(f facts) (next time.Time, ends bool) {
	want, there := f.routers[r.name]
	r.reconcile(f, want, there)
	if r.asked.Swap(false) {
		r.handle(radv.Solicited{})
	}
	r.handle(radv.DeadlineReached{})
	at, ticking := r.machine.Deadline()
	switch {
	case ticking:
		return at, false
	case !there || want.Config == nil:
		r.silence(time.Now())
		return time.Time{}, true
	}
	return r.retry, false
}

// reconcile compares what is with what should be.
func (r *router) reconcile(f facts, want Router, there bool) {
	now := time.Now()
	var place Place
	present := false
	if there && f.active[r.name] && f.links != nil {
		place, present = f.links.Find(want.Interface, want.Source)
	}
	if !present || r.conn != nil && (place != r.place || want.Source != r.want.Source) {
		r.silence(now)
	}
	if present && want.Config == nil {
		r.handle(radv.Ceased{Withdrawn: true})
		return
	}
	if !there || want.Config == nil {
		return
	}
	r.want = want
	r.handle(radv.Reconfigured{Config: *want.Config})
	if !present || r.conn == nil && now.Before(r.retry) {
		return
	}
	if r.conn == nil && !r.open(now, place) {
		return
	}
	r.handle(radv.Began{})
}

func (r *router) open(now time.Time, place Place) bool {
	conn, err := r.speaker.options.Kernel.Open(place, r.want.Source, func(message []byte, m radv.Meta) {
		drop := radv.CheckSolicitation(message, m)
		r.heard[drop].Add(1)
		if drop == radv.DropNone {
			r.asked.Store(true)
			r.speaker.poke()
		}
	})
	if err != nil {
		r.retry = now.Add(openAgain)
		r.fail(err)
		return false
	}
	r.conn, r.place, r.retry = conn, place, time.Time{}
	r.speaker.options.Log.Info("router advertisements begin", "instance", r.name, "iface", place.Link, "source", r.want.Source)
	return true
}

// silence ends it without a word.
func (r *router) silence(now time.Time) {
	r.actions = r.machine.Handle(now, radv.Ceased{}, r.actions[:0])
	r.retry, r.failed, r.idle = time.Time{}, "", false
	if r.conn == nil {
		return
	}
	_ = r.conn.Close() // It is not used again, whatever the kernel says.
	r.conn = nil
	r.asked.Store(false)
	r.speaker.options.Log.Info("router advertisements end", "instance", r.name, "iface", r.place.Link, "source", r.want.Source)
}

// handle gives the machine one event and does what it says.
func (r *router) handle(event radv.Event) {
	now := time.Now()
	r.actions = r.machine.Handle(now, event, r.actions[:0])
	for _, action := range r.actions {
		send, ok := action.(radv.Send)
		if !ok {
			continue
		}
		if err := r.send(send.Lifetime); err != nil {
			r.sendErrors++
			r.fail(err)
			r.handle(radv.Unsent{}) // Which asks for nothing but another time.
			return
		}
		r.sent++
		r.mend()
	}
}

// send sends one advertisement. A router that does not forward is none, and must
// not say that it is (RFC 4861 §6.2.5): hosts that believed it would send their
// packets to nowhere.
func (r *router) send(lifetime time.Duration) error {
	forwards := r.speaker.options.Kernel.Forwards(r.place.Link)
	if r.speaks() && !forwards && !r.idle {
		r.speaker.options.Log.Warn("router advertisements say that this is no default router", "instance", r.name, "iface", r.place.Link,
			"reason", idleReason(r.place.Link))
	}
	r.idle = !forwards
	if !forwards {
		lifetime = 0
	}
	r.speaker.message = r.want.Config.Append(r.speaker.message[:0], []byte(r.place.Hardware), lifetime)
	return r.conn.Send(r.speaker.message)
}

// speaks says whether it wants to be a default router.
func (r *router) speaks() bool { return r.want.Config.Lifetime > 0 }

// idleReason says why hosts are told nothing, and what to do.
func idleReason(link string) string {
	return "net.ipv6.conf." + link + ".forwarding is 0: this machine routes nothing; " +
		"sysctl -w net.ipv6.conf.all.forwarding=1 changes that"
}

// fail tells of a failure that is new.
func (r *router) fail(err error) {
	if r.failed != err.Error() {
		r.failed = err.Error()
		r.speaker.options.Log.Warn("router advertisements cannot be sent", "instance", r.name, "error", err)
	}
}

func (r *router) mend() {
	if r.failed != "" {
		r.failed = ""
		r.speaker.options.Log.Info("router advertisements are sent again", "instance", r.name)
	}
}

// Snapshot is the state of one router that is configured to advertise.
type Snapshot struct {
	radv.Snapshot

	// Link is where it advertises, empty while it does not, and Source as whom.
	Link   string
	Source netip.Addr
	// Lifetime is for how long it wants to be a default router.
	Lifetime time.Duration
	// Error is why it cannot, though it should; empty if all is well. Idle is
	// why it says that it is no default router.
	Error, Idle string
	// Sent is the advertisements that went out, SendErrors those that did not.
	Sent, SendErrors uint64
	// Heard is the solicitations by whether they were answered, and why not.
	Heard [radv.DropReasonCount]uint64
}

func (s *Speaker) snapshots() map[string]Snapshot {
	all := make(map[string]Snapshot, len(s.routers))
	for name, r := range s.routers {
		v := Snapshot{Snapshot: r.machine.Snapshot(), Source: r.want.Source, Lifetime: r.want.Config.Lifetime, Error: r.failed, Sent: r.sent, SendErrors: r.sendErrors}
		if r.conn != nil {
			v.Link = r.place.Link
			if r.speaks() && !s.options.Kernel.Forwards(v.Link) {
				v.Idle = idleReason(v.Link)
			}
		}
		for reason := range v.Heard {
			v.Heard[reason] = r.heard[reason].Load()
		}
		all[name] = v
	}
	return all
}
