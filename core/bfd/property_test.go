package bfd_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/halo-ha/halo/core/bfd"
)

// drawConfig draws intervals of at least so many milliseconds.
func drawConfig(t *rapid.T, least int) bfd.Config {
	c := bfd.Defaults()
	c.MinTx = time.Duration(rapid.IntRange(least, 3000).Draw(t, "min_tx")) * ms
	c.MinRx = time.Duration(rapid.IntRange(least, 3000).Draw(t, "min_rx")) * ms
	c.IdleTx = time.Duration(rapid.IntRange(1000, 3000).Draw(t, "idle_tx")) * ms
	c.Multiplier = uint8(rapid.IntRange(1, 10).Draw(t, "multiplier"))
	return c
}

// Whatever happened before, once packets pass and both processes run, both sides
// are up, agree on the intervals, and stay so.
func TestSessionsConverge(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := newLink(t)
		// Below the millisecond that an interval has at least: a path that takes
		// longer than its session may wait cannot be up.
		l.latency = time.Duration(rapid.IntRange(0, 80).Draw(rt, "latency µs")) * time.Microsecond
		random := func(n uint32) uint32 { return rapid.Uint32Range(0, n-1).Draw(rt, "jitter") }
		configs := [2]bfd.Config{}
		for i, name := range []string{"a", "b"} {
			configs[i] = drawConfig(rt, 50)
			configs[i].Passive = i == 1 && rapid.Bool().Draw(rt, "passive")
			l.add(name, configs[i], random)
		}
		for _, s := range l.sides {
			l.handle(s, bfd.Started{})
		}
		for range rapid.IntRange(1, 15).Draw(rt, "steps") {
			i := rapid.IntRange(0, 1).Draw(rt, "side")
			s := l.sides[i]
			switch rapid.IntRange(0, 6).Draw(rt, "what") {
			case 0:
				s.deaf = !s.deaf
			case 1:
				s.mute = !s.mute
			case 2:
				s.frozen = true
			case 3:
				l.thaw(s)
			case 4:
				passive := configs[i].Passive
				configs[i] = drawConfig(rt, 50)
				configs[i].Passive, configs[i].Disabled = passive, rapid.Bool().Draw(rt, "disabled")
				l.handle(s, bfd.Reconfigured{Config: configs[i]})
			case 5:
				// The program is started again.
				s.session = bfd.New(configs[i], s.session.Discriminator()+2, random)
				l.handle(s, bfd.Started{})
			default:
			}
			l.run(time.Duration(rapid.IntRange(0, 5000).Draw(rt, "ms")) * ms)
		}
		for i, s := range l.sides {
			s.deaf, s.mute = false, false
			l.thaw(s)
			configs[i].Disabled = false
			l.handle(s, bfd.Reconfigured{Config: configs[i]})
		}
		// Longer than the longest Detection Time, after which both begin anew.
		l.run(time.Minute)
		downs := 0
		for i, s := range l.sides {
			v, peer := s.session.Snapshot(), &configs[1-i]
			if v.State != bfd.Up || v.RemoteState != bfd.Up || v.Polling {
				rt.Fatalf("%s: %+v", s.name, v)
			}
			if v.TransmitInterval != max(configs[i].MinTx, peer.MinRx) ||
				v.DetectionTime != time.Duration(peer.Multiplier)*max(configs[i].MinRx, peer.MinTx) {
				rt.Fatalf("%s: interval %v and Detection Time %v, of %+v and %+v", s.name, v.TransmitInterval, v.DetectionTime, configs[i], *peer)
			}
			downs += s.downs
		}
		l.run(10 * time.Second)
		if again := l.sides[0].downs + l.sides[1].downs; again != downs {
			rt.Fatalf("went down %d times while all was well", again-downs)
		}
	})
}

// While both are up, no reconfiguration of either side, at whatever moment, with
// whatever jitter, takes the session down.
func TestNoReconfigurationFlaps(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := newLink(t)
		l.latency = time.Duration(rapid.IntRange(0, 80).Draw(rt, "latency µs")) * time.Microsecond
		random := func(n uint32) uint32 { return rapid.Uint32Range(0, n-1).Draw(rt, "jitter") }
		for _, name := range []string{"a", "b"} {
			s := l.add(name, drawConfig(rt, 5), random)
			l.handle(s, bfd.Started{})
		}
		for end := l.now.Add(time.Minute); l.now.Before(end) && (l.sides[0].session.State() != bfd.Up || l.sides[1].session.State() != bfd.Up); {
			l.run(10 * ms)
		}
		for range rapid.IntRange(1, 6).Draw(rt, "changes") {
			s := l.sides[rapid.IntRange(0, 1).Draw(rt, "side")]
			l.handle(s, bfd.Reconfigured{Config: drawConfig(rt, 5)})
			l.run(time.Duration(rapid.IntRange(0, 2000).Draw(rt, "ms")) * ms)
		}
		l.run(2 * time.Second)
		for _, s := range l.sides {
			if s.downs != 0 || s.session.State() != bfd.Up {
				rt.Fatalf("%s is %v and went down %d times", s.name, s.session.State(), s.downs)
			}
		}
	})
}
