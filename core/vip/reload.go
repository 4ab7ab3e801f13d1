package vip

import (
	"reflect"
	"slices"
	"time"
)

// adopt takes over a configuration. What is there and no longer configured
// becomes obsolete.
func (k *keeper) adopt(c Instance) {
	old := k.config
	if old.Name != "" && old.equal(c) {
		return
	}
	k.config = c
	moved := old.Name != "" && old.Interface != c.Interface
	before := make(map[slot]*entry, len(k.entries))
	for _, e := range k.entries {
		before[e.slot] = e
	}
	k.entries = nil
	wanted := make(map[slot]bool)
	for _, w := range c.wishes() {
		e := &entry{wish: w}
		if b := before[w.slot]; b != nil && !moved {
			e.EntryStatus, e.kept, e.restoring = b.EntryStatus, b.kept, b.restoring
			e.asWanted = b.asWanted && reflect.DeepEqual(b.wish, w)
			delete(before, w.slot)
		} else {
			k.swept = false
		}
		wanted[w.slot] = !moved
		k.entries = append(k.entries, e)
	}
	for _, e := range before {
		if e.Present && !e.kept {
			k.obsolete = append(k.obsolete, e.wish)
		}
	}
	k.obsolete = slices.DeleteFunc(k.obsolete, func(w *wish) bool { return wanted[w.slot] })
	k.arrange(moved)
	if moved {
		k.phase, k.swept = idle, false
		k.patience = [classes]patience{}
		k.reclaim(nil)
		k.abandon()
	}
	k.incomplete()
	if k.lost {
		k.lostUntil = time.Now() // The cause may be gone.
	}
}

// arrange orders the entries by where they are read, and notes what interfaces
// they need.
func (k *keeper) arrange(forget bool) {
	links := make(map[string]*linkState)
	groups := make(map[source]int)
	k.bySource = nil
	for _, e := range k.entries {
		s := e.slot.source()
		i, ok := groups[s]
		if !ok {
			i = len(k.bySource)
			groups[s] = i
			k.bySource = append(k.bySource, sourceEntries{source: s})
		}
		k.bySource[i].entries = append(k.bySource[i].entries, e)
		for _, name := range e.needs() {
			l := links[name]
			if l == nil {
				l = &linkState{}
				if before := k.links[name]; before != nil && !forget {
					l.away, l.index = before.away, before.index
				}
				links[name] = l // Not looked at: what is new may be the machine's own.
			}
			l.addressed = l.addressed || s.kind == kindAddress
		}
	}
	k.links = links
}

// dropObsolete deletes what is no longer configured.
func (k *keeper) dropObsolete() (next time.Time) {
	if len(k.obsolete) == 0 {
		return time.Time{}
	}
	now, pause := time.Now(), removePauseMax
	if k.ended() {
		pause = retryPause
		k.obsoleteAt = sooner(k.obsoleteAt, now.Add(pause))
	}
	if now.Before(k.obsoleteAt) {
		return k.obsoleteAt
	}
	left, err := k.owner.delAll(k.owner.unshared(k, k.obsolete, false))
	k.obsolete = left
	if err == nil {
		k.obsoleteLogs = false
		return time.Time{}
	}
	k.note(err)
	if !k.obsoleteLogs {
		k.obsoleteLogs = true
		k.owner.log.Error("cannot delete what is no longer configured", "instance", k.name, "iface", k.config.Interface, "reason", err)
	}
	k.obsoleteAt = time.Now().Add(pause)
	return k.obsoleteAt
}
