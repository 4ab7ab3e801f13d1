package vip

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

var errRefused = errors.New("refused")

// holdOne has VI_1 hold 192.0.2.10/24, with nothing recorded so far.
func holdOne(b *bench) {
	b.Helper()
	b.instance("VI_1", "192.0.2.10/24")
	b.Acquire("VI_1")
	b.settle()
	b.want(eth0, own, vip1)
	b.kernel.Forget()
}

func TestRemovedAddressIsBackWithinASecond(t *testing.T) {
	run(t, func(b *bench) {
		holdOne(b)
		for range 10 {
			// Rare enough never to be given up.
			time.Sleep(restoreWindow)
			b.kernel.Take("eth0", "192.0.2.10/24")
			time.Sleep(time.Second)
			synctest.Wait()
			b.want(eth0, own, vip1, "announced eth0 192.0.2.10 x2")
			b.wantJournal("put eth0 192.0.2.10/24")
			b.wantEvents("drift VI_1 removed [192.0.2.10/24] <nil>")
		}
	})
}

// adversary takes an address away while its second return is being reported.
// By then its absence has been published, since that return had to wait.
type adversary struct {
	observer
	returns int
	strike  func()
}

func (a *adversary) Drifted(d Drift) {
	a.observer.Drifted(d)
	if a.returns++; a.returns == 2 {
		a.strike()
		time.Sleep(30 * time.Millisecond) // All others have seen it when the step ends.
	}
}

func TestAddressRemovedWhileItIsPutBack(t *testing.T) {
	run(t, func(b *bench) {
		take := func() { b.kernel.Take("eth0", "192.0.2.10/24") }
		b.observer = &adversary{observer: observer{b.events}, strike: take}
		holdOne(b)
		take()
		time.Sleep(time.Second)
		take()
		time.Sleep(time.Second)
		b.want(eth0, own, vip1, "announced eth0 192.0.2.10 x6")
		drift := "drift VI_1 removed [192.0.2.10/24] <nil>"
		b.wantEvents(drift, drift, drift)
	})
}

func TestRestoringBacksOff(t *testing.T) {
	run(t, func(b *bench) {
		holdOne(b)
		took := make([]time.Duration, 0, restoreLimit-1)
		for range restoreLimit - 1 {
			time.Sleep(restoreWindow / (2 * restoreLimit))
			removed := time.Now()
			b.kernel.Take("eth0", "192.0.2.10/24")
			for !strings.Contains(b.kernel.String(), vip1) {
				time.Sleep(time.Millisecond)
			}
			took = append(took, time.Since(removed))
		}
		for i, longest := range []int64{30, 80, 130, 230} {
			if took[i].Milliseconds() > longest || (i > 0 && took[i] <= took[i-1]) {
				b.Errorf("restores took %v, want each longer than the one before and at most %d ms for number %d", took, longest, i+1)
			}
		}
	})
}

func TestAddressesThatCannotBeKeptAreGivenUpAndTriedAgain(t *testing.T) {
	run(t, func(b *bench) {
		holdOne(b)
		for range restoreLimit {
			b.kernel.Take("eth0", "192.0.2.10/24")
			time.Sleep(time.Second)
		}
		b.want(eth0, own, "announced eth0 192.0.2.10 x8")
		lost := "addresses of eth0 were removed 5 times within 10s, last [192.0.2.10/24]"
		repaired := "drift VI_1 removed [192.0.2.10/24] <nil>"
		b.wantEvents(repaired, repaired, repaired, repaired,
			"drift VI_1 removed [192.0.2.10/24] "+lost, "lost VI_1: "+lost)
		if s := b.Snapshot()["VI_1"]; !s.Lost || s.Error != lost {
			b.Errorf("status %+v", s)
		}
		// The speaker stands down, and may take over again later.
		b.Release("VI_1")
		time.Sleep(holdDown - 2*time.Second)
		b.wantEvents()
		time.Sleep(2 * time.Second)
		b.wantEvents("restored VI_1")
		if s := b.Snapshot()["VI_1"]; s.Lost || s.Error != "" {
			b.Errorf("status %+v", s)
		}
		b.Acquire("VI_1")
		b.settle()
		b.want(eth0, own, vip1, "announced eth0 192.0.2.10 x8")
	})
}

func TestHoldDownGrowsWithEachDefeat(t *testing.T) {
	run(t, func(b *bench) {
		holdOne(b)
		b.kernel.Fail(kerneltest.CallAdd, -1, errRefused)
		b.kernel.Take("eth0", "192.0.2.10/24")
		// Nobody releases: it tries again by itself each time.
		var pauses []time.Duration
		var lost time.Time
		for len(pauses) < 7 {
			switch events := b.events.take(); {
			case strings.Contains(events, "restored"):
				pauses = append(pauses, time.Since(lost).Round(time.Second))
			case strings.Contains(events, "lost"):
				lost = time.Now()
			}
			time.Sleep(50 * time.Millisecond)
		}
		for i, want := range []float64{10, 20, 40, 80, 160, 300, 300} {
			if pauses[i].Seconds() != want {
				b.Fatalf("pauses %v, want 10 s doubling to 5 min", pauses)
			}
		}
		// A long time of success makes it start afresh.
		b.kernel.Fail(kerneltest.CallAdd, 0, nil)
		time.Sleep(3 * holdDownMax)
		b.want(eth0, own, vip1, "announced eth0 192.0.2.10 x2")
		b.events.take()
		b.kernel.Fail(kerneltest.CallAdd, -1, errRefused)
		b.kernel.Take("eth0", "192.0.2.10/24")
		time.Sleep(holdDown + 500*time.Millisecond)
		b.kernel.Fail(kerneltest.CallAdd, 0, nil)
		time.Sleep(time.Second)
		if events := b.events.take(); !strings.Contains(events, "lost") || !strings.Contains(events, "restored") {
			b.Errorf("observer heard %q, want a first hold-down of %s", events, holdDown)
		}
	})
}

func TestAddingFails(t *testing.T) {
	for _, row := range []struct {
		name     string
		prepare  func(*kerneltest.Kernel)
		held     bool
		contains string
	}{
		{"once", func(k *kerneltest.Kernel) { k.Fail(kerneltest.CallAdd, 1, errRefused) }, true, ""},
		{"almost too often", func(k *kerneltest.Kernel) { k.Fail(kerneltest.CallAdd, addLimit-1, errRefused) }, true, ""},
		{"too often", func(k *kerneltest.Kernel) { k.Fail(kerneltest.CallAdd, addLimit, errRefused) }, false, "lost VI_1: put addresses on eth0: refused"},
		{"for want of a privilege", func(k *kerneltest.Kernel) { k.Fail(kerneltest.CallAdd, -1, syscall.EPERM) }, false, "operation not permitted"},
		{"vanishes at once", func(k *kerneltest.Kernel) { k.Vanish("192.0.2.10/24", addLimit-1) }, true, ""},
		{"vanishes always", func(k *kerneltest.Kernel) { k.Vanish("192.0.2.10/24", 100) }, false, "[192.0.2.10/24] not there afterwards"},
	} {
		t.Run(row.name, func(t *testing.T) {
			run(t, func(b *bench) {
				b.instance("VI_1", "192.0.2.10/24", "192.0.2.11/24")
				row.prepare(b.kernel)
				b.Acquire("VI_1")
				b.Announce("VI_1", Burst{Repeat: 1})
				time.Sleep(2 * time.Second)
				events := b.events.take()
				if got := strings.Contains(b.kernel.String(), vip1); got != row.held {
					b.Errorf("held: %v, want %v\n%s", got, row.held, b.kernel)
				}
				if row.held && (events != "" || !strings.Contains(b.kernel.String(), "announced eth0 192.0.2.10 x")) {
					b.Errorf("observer heard %q, and the kernel is\n%s", events, b.kernel)
				}
				if !strings.Contains(events, row.contains) {
					b.Errorf("observer heard %q, want %q in it", events, row.contains)
				}
			})
		})
	}
}

// Not being able to look is not knowing, and no reason to give anything up.
func TestReadingFails(t *testing.T) {
	run(t, func(b *bench) {
		b.instance("VI_1", "192.0.2.10/24")
		b.kernel.Fail(kerneltest.CallList, -1, errRefused)
		b.Acquire("VI_1")
		b.Announce("VI_1", Burst{Repeat: 1})
		time.Sleep(time.Minute)
		b.want(eth0, own, vip1, "announced eth0 192.0.2.10 x1")
		if s := b.Snapshot()["VI_1"]; !s.Holding || s.Lost || !strings.Contains(s.Error, "refused") {
			b.Errorf("status %+v", s)
		}
		b.kernel.Fail(kerneltest.CallList, 0, nil)
		b.kernel.Take("eth0", "192.0.2.10/24")
		time.Sleep(2 * time.Second)
		b.want(eth0, own, vip1, "announced eth0 192.0.2.10 x3")
		b.wantEvents("drift VI_1 removed [192.0.2.10/24] <nil>")
		if s := b.Snapshot()["VI_1"]; s.Error != "" {
			b.Errorf("status %+v", s)
		}
	})
}

func TestReadingAndAddingFail(t *testing.T) {
	run(t, func(b *bench) {
		b.instance("VI_1", "192.0.2.10/24")
		b.kernel.Fail(kerneltest.CallList, -1, errRefused)
		b.kernel.Fail(kerneltest.CallAdd, 1, errRefused)
		b.Acquire("VI_1")
		time.Sleep(time.Second)
		b.kernel.Fail(kerneltest.CallList, 0, nil)
		time.Sleep(2 * time.Second)
		b.want(eth0, own, vip1, "announced eth0 192.0.2.10 x2")
	})
}

func TestInterfaceMissingAtFirst(t *testing.T) {
	run(t, func(b *bench) {
		b.kernel.DelLink("eth0")
		b.instance("VI_1", "192.0.2.10/24")
		b.Acquire("VI_1")
		time.Sleep(time.Hour)
		b.want("")
		b.wantEvents()
		if s := b.Snapshot()["VI_1"]; s.Error != "interface eth0 is missing" {
			b.Errorf("status %+v", s)
		}
		b.kernel.AddLink("eth0", "192.0.2.1/24")
		b.settle()
		b.want("link eth0 3 up", own, vip1)
		b.wantEvents()
		if s := b.Snapshot()["VI_1"]; s.Error != "" {
			b.Errorf("status %+v", s)
		}
	})
}

// An interface that comes and goes is not a fault of the addresses.
func TestInterfaceRecreatedManyTimes(t *testing.T) {
	run(t, func(b *bench) {
		holdOne(b)
		for i := range 20 {
			b.kernel.DelLink("eth0")
			if i%2 == 0 {
				b.settle() // Otherwise it is back before anyone has looked.
			}
			b.kernel.AddLink("eth0", "192.0.2.1/24")
			b.settle()
			if got := b.kernel.String(); !strings.Contains(got, vip1) {
				b.Fatalf("round %d: kernel is\n%s", i, got)
			}
			b.wantEvents("drift VI_1 interface_recreated [192.0.2.10/24] <nil>")
		}
		if s := b.Snapshot()["VI_1"]; s.Lost || s.Addresses[0].Restores != 20 {
			b.Errorf("status %+v", s)
		}
	})
}

// Without being told of links at all, a missing interface is still found.
func TestInterfaceAppearsUnannounced(t *testing.T) {
	run(t, func(b *bench) {
		b.kernel.DelLink("eth0")
		b.instance("VI_1", "192.0.2.10/24")
		b.Acquire("VI_1")
		b.settle()
		b.LinksChanged(nil)
		b.kernel.AddLink("eth0", "192.0.2.1/24")
		b.LinksChanged(nil) // What the kernel told is overtaken.
		time.Sleep(2 * missingPause)
		if got := b.kernel.String(); !strings.Contains(got, vip1) {
			b.Errorf("kernel is\n%s", got)
		}
	})
}

func TestForeignAddressesAreNeverTouched(t *testing.T) {
	run(t, func(b *bench) {
		b.instance("VI_1", "192.0.2.10/24")
		b.kernel.Put("eth0", "192.0.2.10/32", "192.0.2.11/24")
		b.Release("VI_1")
		b.settle()
		b.Acquire("VI_1")
		b.settle()
		b.kernel.Take("eth0", "192.0.2.11/24")
		b.kernel.Put("eth0", "192.0.2.12/24")
		b.settle()
		b.Release("VI_1")
		b.settle()
		b.end()
		b.want(eth0, own, "address eth0 192.0.2.12/24", "address eth0 192.0.2.10/32")
		b.wantEvents()
	})
}

//rfc:9568/8.1.2-5 positive negative
//rfc:9568/8.2.2-7 positive negative
//rfc:3768/8.2-4 positive
func TestAnnouncementsFollowAcquiring(t *testing.T) {
	run(t, func(b *bench) {
		b.instance("VI_1", "192.0.2.10/24", "192.0.2.11/24")
		release := b.kernel.Hang(kerneltest.CallAdd)
		b.Acquire("VI_1")
		b.Announce("VI_1", Burst{Repeat: 1})
		b.settle()
		b.want(eth0, own)
		release()
		b.settle()
		b.want(eth0, own, vip1, vip2, "announced eth0 192.0.2.10 x1", "announced eth0 192.0.2.11 x1")
		// One that could not be added is not announced.
		b.kernel.Vanish("192.0.2.11/24", 2)
		b.kernel.Forget()
		b.kernel.Take("eth0", "192.0.2.11/24")
		b.Announce("VI_1", Burst{Repeat: 1})
		synctest.Wait()
		b.want(eth0, own, vip1, "announced eth0 192.0.2.10 x1")
		time.Sleep(time.Second)
		b.want(eth0, own, vip1, vip2, "announced eth0 192.0.2.10 x1", "announced eth0 192.0.2.11 x2")
	})
}
