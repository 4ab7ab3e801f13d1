package daemon

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/halo-ha/halo/core/balance"
	"github.com/halo-ha/halo/core/journal"
	"github.com/halo-ha/halo/core/pluginhost"
	"github.com/halo-ha/halo/core/pool"
	"github.com/halo-ha/halo/core/track"
	"github.com/halo-ha/halo/core/vip"
	"github.com/halo-ha/halo/core/vrrp"
)

// Whatever goes to the log as a change of state, and whatever else somebody may
// want to be notified of, is recorded in the journal by the goroutine that hears of
// it. These functions put it into the journal's words.

func object(t journal.Type, name string) journal.Object { return journal.Object{Type: t, Name: name} }

// line joins what there is.
func line(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ": ")
}

// stateEvent is a virtual router that has gone from one state to another.
func stateEvent(instance string, at time.Time, c vrrp.StateChanged) journal.Event {
	e := journal.Event{
		Time: at, Kind: journal.State, Object: object(journal.Instance, instance),
		From: c.From.String(), To: c.To.String(), Reason: c.Reason.String(), Detail: c.Detail, Priority: c.Priority,
		Faults: faultWords(c.Faults),
	}
	if c.Peer.IsValid() {
		e.Peer = c.Peer.String()
	}
	return e
}

// faultEvent is a virtual router in fault for another reason than before.
func faultEvent(instance string, at time.Time, c vrrp.FaultChanged) journal.Event {
	return journal.Event{
		Time: at, Kind: journal.Fault, Object: object(journal.Instance, instance),
		Reason: c.Reason.String(), Detail: c.Detail, Faults: faultWords(c.Faults),
	}
}

func faultWords(f vrrp.Faults) []string {
	causes := f.Causes()
	if len(causes) == 0 {
		return nil // And not an empty list.
	}
	words := make([]string, 0, len(causes))
	for _, cause := range causes {
		words = append(words, cause.String())
	}
	return words
}

// priorityEvent is a changed effective priority, because of trackers or else of a
// reload.
func priorityEvent(instance string, at time.Time, c vrrp.EffectiveChanged) journal.Event {
	e := journal.Event{
		Time: at, Kind: journal.Priority, Object: object(journal.Instance, instance),
		From: strconv.Itoa(int(c.From)), To: strconv.Itoa(int(c.To)), Reason: "tracker", Detail: c.Detail, Priority: c.To,
	}
	if c.Detail == "" {
		e.Reason = "configuration"
	}
	return e
}

func mismatchEvent(instance string, at time.Time, m vrrp.Mismatch) journal.Event {
	return journal.Event{
		Time: at, Kind: journal.Mismatch, Object: object(journal.Instance, instance),
		Reason: m.Kind.String(), Detail: fmt.Sprintf("here %s, there %s", m.Ours, m.Theirs), Peer: m.Peer.String(),
	}
}

// Removed implements speaker.Observer: behind the last that a router did, a reload
// that has taken it out of the configuration is told.
func (e *election) Removed(instance string, at time.Time) {
	if e.places.left(instance) {
		e.journal.Record(journal.Event{Time: at, Kind: journal.Removed, Object: object(journal.Instance, instance)})
	}
}

// groupEvent is a sync group that has gone from one state to another. It is one
// event, beside those of the members.
func groupEvent(group string, at time.Time, c vrrp.GroupStateChanged) journal.Event {
	e := journal.Event{
		Time: at, Kind: journal.State, Object: object(journal.SyncGroup, group),
		From: c.From.String(), To: c.To.String(), Reason: c.Cause.Reason.String(), Detail: c.Cause.Detail, Priority: c.Priority,
		Faults: faultWords(c.Cause.Faults),
	}
	if c.Cause.Member != "" {
		e.Detail = c.Cause.String()
	}
	if c.Cause.Peer.IsValid() {
		e.Peer = c.Cause.Peer.String()
	}
	return e
}

// groupFaultEvent is a sync group in fault for another reason than before.
func groupFaultEvent(group string, at time.Time, c vrrp.GroupFaultChanged) journal.Event {
	return journal.Event{
		Time: at, Kind: journal.Fault, Object: object(journal.SyncGroup, group),
		Reason: c.Cause.Reason.String(), Detail: c.Cause.String(), Faults: faultWords(c.Cause.Faults),
	}
}

func trackerEvent(c track.TrackerChanged) journal.Event {
	return journal.Event{
		Kind: journal.State, Object: object(journal.Tracker, c.Tracker), From: c.From.String(), To: c.To.String(),
		Reason: c.Why.Reason.String(), Detail: line(c.Why.TrackerReason, c.Why.TrackerDetail),
	}
}

// socketEvent is an interface that cannot be spoken on, or can again.
func socketEvent(iface string, err error) journal.Event {
	e := journal.Event{Kind: journal.State, Object: object(journal.Interface, iface), From: "socket_lost", To: "socket_open"}
	if err != nil {
		e.From, e.To, e.Detail = e.To, e.From, err.Error()
	}
	return e
}

func conflictEvent(instance, address, mac string) journal.Event {
	return journal.Event{
		Kind: journal.Conflict, Object: object(journal.Instance, instance), Reason: "claimed",
		Detail: address + " is also claimed by " + mac,
	}
}

// addressEvent is something that was not as it should be with the addresses of an
// instance.
func addressEvent(d vip.Drift) journal.Event {
	e := journal.Event{
		Kind: journal.Drift, Object: object(journal.Instance, d.Instance), To: "repaired", Reason: d.Cause.String(),
		Detail: d.Interface + " " + listed(d.Entries()),
	}
	if d.Err != nil {
		e.To = "not_repaired"
		e.Detail += ": " + d.Err.Error()
	}
	return e
}

// keepingEvent is an instance whose addresses cannot be kept at all, for the
// reason, or again.
func keepingEvent(instance string, lost error) journal.Event {
	e := journal.Event{Kind: journal.Drift, Object: object(journal.Instance, instance), To: "restored", Reason: vrrp.FaultAddressesLost.String()}
	if lost != nil {
		e.To, e.Detail = "lost", lost.Error()
	}
	return e
}

func serverEvent(service string, c pool.ServerChanged) journal.Event {
	return journal.Event{
		Kind: journal.State, Object: journal.Object{Type: journal.RealServer, Name: c.Server.String(), Of: service},
		From: c.From.String(), To: c.To.String(), Reason: c.Why.Reason.String(), Detail: line(c.Check, c.CheckReason, c.CheckDetail),
		Weight: &c.Weight, InService: &c.InService,
	}
}

func quorumEvent(service string, c pool.QuorumChanged) journal.Event {
	e := journal.Event{
		Kind: journal.State, Object: object(journal.VirtualServer, service),
		From: c.From.String(), To: c.To.String(), Reason: c.Reason.String(), Weight: &c.Weight,
		Detail: fmt.Sprintf("weight %d of quorum %d", c.Weight, c.Quorum),
	}
	if c.Sorry {
		e.Detail += ", the sorry server serves"
	}
	return e
}

// driftEvents are the changes by others in the kernel's table of services.
func driftEvents(d balance.Drift) []journal.Event {
	var events []journal.Event
	for _, c := range d.Changes {
		events = append(events, journal.Event{
			Kind: journal.Drift, Object: object(journal.VirtualServer, c.Service), To: "repaired", Reason: c.What,
			Detail: fmt.Sprintf("%v, found %v in place of %v", c.Object, c.From, c.To),
		})
	}
	if more := d.Total - len(d.Changes); more > 0 {
		events = append(events, journal.Event{
			Kind: journal.Drift, Object: journal.Object{Type: journal.Halo}, To: "repaired", Reason: "ipvs", Detail: fmt.Sprintf("%d more changes", more),
		})
	}
	return events
}

func pluginEvent(id pluginhost.Identity, from, to pluginhost.State, cause string) journal.Event {
	return journal.Event{
		Kind: journal.State, Object: journal.Object{Type: journal.Plugin, Name: id.Plugin, Of: id.User},
		From: string(from), To: string(to), Detail: cause,
	}
}

// reloadEvent is a configuration that was applied, or refused for the first of its
// problems.
func reloadEvent(number uint64, changes int, refused string) journal.Event {
	e := journal.Event{
		Kind: journal.Reload, Object: journal.Object{Type: journal.Halo}, To: "applied",
		Detail: fmt.Sprintf("generation %d, %d changes", number, changes),
	}
	if refused != "" {
		e.To, e.Detail = "refused", refused
	}
	return e
}

// Of halo itself: the words of its states.
const (
	haloStarting = "starting"
	haloRunning  = "running"
	haloStopping = "stopping"
	haloStopped  = "stopped"
)

func haloEvent(from, to string) journal.Event {
	return journal.Event{Kind: journal.State, Object: journal.Object{Type: journal.Halo}, From: from, To: to}
}
