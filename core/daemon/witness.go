package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/halo-ha/halo/core/vip"
	"github.com/halo-ha/halo/core/vrrp"
)

// What the election's drivers tell goes to the journal and to the log, and where it
// bears on the election, back to the router it is about.

// witness is told by the speaker of one place what its routers do.
type witness struct {
	*election
	place place
}

// Changed implements speaker.Observer.
func (e witness) Changed(instance string, at time.Time, what vrrp.Action) {
	switch a := what.(type) {
	case vrrp.StateChanged:
		e.journal.Record(stateEvent(instance, at, a))
		e.stateChanged(instance, at, a)
		if e.counts(instance) {
			e.watchAddresses(instance, a.To)
			e.advertising.SetActive(instance, a.To == vrrp.Active)
		}
	case vrrp.FaultChanged:
		e.journal.Record(faultEvent(instance, at, a))
		e.logger.Warn("virtual router has another fault", "instance", instance, "reason", a.Reason.String(), "faults", a.Faults.String(), "detail", a.Detail)
	case vrrp.EffectiveChanged:
		e.journal.Record(priorityEvent(instance, at, a))
		e.logger.Info("priority changed", "instance", instance, "from", a.From, "to", a.To, "reason", a.Detail)
	case vrrp.Mismatch:
		e.journal.Record(mismatchEvent(instance, at, a))
		e.logger.Warn("peer disagrees", "instance", instance, "mismatch", a.Kind.String(), "peer", a.Peer, "ours", a.Ours, "theirs", a.Theirs)
	case *vrrp.SendAdvert, vrrp.AcquireAddresses, vrrp.ReleaseAddresses, vrrp.Announce, vrrp.Standing:
		// The speaker sees to these.
	}
}

// counts says whether what a router did here is the last that is known of it. Of one
// that a reload has moved, the end here may be told after the beginning there.
func (e witness) counts(instance string) bool {
	s := e.places.of(instance)
	return s == nil || s.place == e.place
}

// watchAddresses listens for who else claims the addresses of an instance that is
// active.
func (e *election) watchAddresses(instance string, state vrrp.State) {
	if e.places.of(instance) == nil || state != vrrp.Active {
		e.conflicts.release(instance)
		return
	}
	e.conflicts.hold(instance, e.places.addresses(instance))
}

func (e *election) stateChanged(instance string, at time.Time, c vrrp.StateChanged) {
	attributes := []any{"instance", instance, "from", c.From.String(), "to", c.To.String(), "reason", c.Reason.String(), "priority", c.Priority}
	if c.Peer.IsValid() {
		attributes = append(attributes, "peer", c.Peer)
	}
	if c.To == vrrp.Fault {
		attributes = append(attributes, "faults", c.Faults.String())
	}
	if c.Detail != "" {
		attributes = append(attributes, "detail", c.Detail)
	}
	level := slog.LevelInfo
	if c.To == vrrp.Fault {
		level = slog.LevelWarn
	}
	e.logger.Log(context.Background(), level, "virtual router changed state", append(attributes, "at", at)...)
}

// SocketChanged implements speaker.Observer.
func (e *election) SocketChanged(iface string, err error) {
	e.journal.Record(socketEvent(iface, err))
	if err != nil {
		e.logger.Error("vrrp socket is not usable", "iface", iface, "error", err)
		return
	}
	e.logger.Info("vrrp socket is usable again", "iface", iface)
}

// Drifted implements vip.Observer.
func (e *election) Drifted(d vip.Drift) {
	e.journal.Record(addressEvent(d))
	attributes := []any{"instance", d.Instance, "iface", d.Interface, "drift", d.Cause.String(), "entries", listed(d.Entries())}
	if d.Err != nil {
		attributes = append(attributes, "error", d.Err)
	}
	switch routing := len(d.Addresses) == 0; {
	case routing && d.Err != nil:
		e.logger.Warn("routing drift cannot be repaired", attributes...)
	case routing:
		e.logger.Warn("routing drift repaired", attributes...)
	case d.Err != nil:
		e.logger.Warn("address drift cannot be repaired", attributes...)
	default:
		e.logger.Warn("address drift repaired", attributes...)
	}
}

// listed shows a long list of entries by its beginning.
func listed(entries []string) string {
	const most = 5
	if len(entries) <= most {
		return fmt.Sprint(entries)
	}
	return fmt.Sprintf("%v and %d more", entries[:most], len(entries)-most)
}

// Lost implements vip.Observer: an instance that cannot hold its addresses
// leaves them to another router.
func (e *election) Lost(instance string, reason error) {
	e.journal.Record(keepingEvent(instance, reason))
	e.logger.Error("virtual addresses cannot be kept", "instance", instance, "error", reason)
	e.post(instance, vrrp.FaultRaised{Cause: vrrp.FaultAddressesLost})
}

// Restored implements vip.Observer.
func (e *election) Restored(instance string) {
	e.journal.Record(keepingEvent(instance, nil))
	e.logger.Info("virtual addresses may be held again", "instance", instance)
	e.post(instance, vrrp.FaultCleared{Cause: vrrp.FaultAddressesLost})
}
