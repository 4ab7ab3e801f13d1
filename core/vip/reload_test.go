package vip

import (
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

func TestReloadTouchesOnlyTheDifference(t *testing.T) {
	run(t, func(b *bench) {
		b.instance("VI_1", "192.0.2.10/24", "192.0.2.11/24")
		b.Acquire("VI_1")
		b.settle()
		b.kernel.Forget()
		b.instance("VI_1", "192.0.2.10/24", "192.0.2.11/24") // Nothing changed.
		b.settle()
		b.wantJournal()
		b.instance("VI_1", "192.0.2.12/24", "192.0.2.10/24")
		b.settle()
		// Only the new one is announced.
		b.want(eth0, own, vip1, "address eth0 192.0.2.12/24", "announced eth0 192.0.2.12 x2")
		b.wantJournal("delete eth0 192.0.2.11/24", "put eth0 192.0.2.12/24")
		b.wantEvents()
		status := b.Snapshot()["VI_1"].Addresses
		if first, second := status[0].Address.String(), status[1].Address.String(); first != "192.0.2.12/24" || second != "192.0.2.10/24" {
			b.Errorf("status lists %s, %s", first, second)
		}
	})
}

func TestReloadWithAnotherPrefixLength(t *testing.T) {
	run(t, func(b *bench) {
		holdOne(b)
		b.instance("VI_1", "192.0.2.10/32")
		b.settle()
		b.want(eth0, own, "address eth0 192.0.2.10/32", "announced eth0 192.0.2.10 x2")
	})
}

func TestReloadWithAnotherInterface(t *testing.T) {
	run(t, func(b *bench) {
		holdOne(b)
		b.kernel.AddLink("eth1", "198.51.100.1/24")
		b.Announce("VI_1", Burst{Repeat: 100})
		b.Set(Instance{Name: "VI_1", Interface: "eth1", Addresses: plain("192.0.2.10/24")})
		b.settle()
		b.kernel.Forget()
		// Who is active there is not decided yet.
		b.want(eth0, own, "link eth1 3 up", "address eth1 198.51.100.1/24")
		if s := b.Snapshot()["VI_1"]; s.Holding || s.Interface != "eth1" {
			b.Errorf("status %+v", s)
		}
		b.Acquire("VI_1")
		b.settle()
		b.want(eth0, own, "link eth1 3 up", vip1eth1, "address eth1 198.51.100.1/24")
		b.wantEvents()
		// The old interface is not watched any more, the new one is.
		b.kernel.DelLink("eth0")
		b.kernel.Take("eth1", "192.0.2.10/24")
		b.settle()
		b.want("link eth1 3 up", vip1eth1, "address eth1 198.51.100.1/24")
		b.wantEvents("drift VI_1 removed [192.0.2.10/24] <nil>")
	})
}

const vip1eth1 = "address eth1 192.0.2.10/24"

func TestReloadOfABackup(t *testing.T) {
	run(t, func(b *bench) {
		b.instance("VI_1", "192.0.2.10/24")
		b.Release("VI_1")
		b.settle()
		b.kernel.PutMarked("eth0", "192.0.2.11/24")
		b.instance("VI_1", "192.0.2.11/24")
		b.settle()
		b.want(eth0, own)
		b.wantJournal("delete eth0 192.0.2.11/24")
	})
}

func TestReloadEndsTheHoldDown(t *testing.T) {
	run(t, func(b *bench) {
		b.instance("VI_1", "192.0.2.10/24")
		b.kernel.Vanish("192.0.2.10/24", 1000)
		b.Acquire("VI_1")
		time.Sleep(2 * time.Second)
		if events := b.events.take(); !strings.Contains(events, "lost VI_1") {
			b.Fatalf("observer heard %q", events)
		}
		b.instance("VI_1", "192.0.2.11/24")
		b.settle()
		b.want(eth0, own, vip2, "announced eth0 192.0.2.11 x2")
		b.wantEvents("restored VI_1")
	})
}

func TestObsoleteAddressThatCannotBeDeleted(t *testing.T) {
	run(t, func(b *bench) {
		holdOne(b)
		b.kernel.Fail(kerneltest.CallDelete, 1, errRefused)
		b.instance("VI_1", "192.0.2.11/24")
		b.settle()
		b.want(eth0, own, vip1, vip2, "announced eth0 192.0.2.11 x2")
		time.Sleep(removePauseMax)
		b.want(eth0, own, vip2, "announced eth0 192.0.2.11 x2")
		if logs := b.logs.take(); strings.Count(logs, "cannot delete what is no longer configured") != 1 {
			b.Errorf("logged %q", logs)
		}
		// Wanted again before it could be deleted, it stays.
		b.kernel.Fail(kerneltest.CallDelete, 1, errRefused)
		b.instance("VI_1", "192.0.2.10/24")
		b.settle()
		b.instance("VI_1", "192.0.2.10/24", "192.0.2.11/24")
		time.Sleep(time.Minute)
		if got := b.kernel.String(); !strings.Contains(got, vip1) || !strings.Contains(got, vip2) {
			b.Errorf("kernel is\n%s", got)
		}
	})
}

func TestObsoleteAddressAtTheEnd(t *testing.T) {
	run(t, func(b *bench) {
		holdOne(b)
		b.kernel.Fail(kerneltest.CallDelete, 1, errRefused)
		b.instance("VI_1", "192.0.2.11/24")
		b.settle()
		before := time.Now()
		b.end()
		if took := time.Since(before); took > time.Second {
			b.Errorf("ending took %s, want no wait for the next ordinary attempt", took)
		}
		b.kernel.Forget()
		b.want(eth0, own)
	})
}

func TestRemove(t *testing.T) {
	t.Run("releases", func(t *testing.T) {
		run(t, func(b *bench) {
			holdOne(b)
			b.instance("VI_2", "192.0.2.11/24")
			b.Acquire("VI_2")
			b.settle()
			b.kernel.Forget()
			b.Remove("VI_1")
			b.Acquire("VI_1") // Too late.
			b.settle()
			b.want(eth0, own, vip2)
			b.wantJournal("delete eth0 192.0.2.10/24")
			if _, ok := b.Snapshot()["VI_1"]; ok {
				b.Error("the removed instance is still there")
			}
		})
	})
	t.Run("taken back", func(t *testing.T) {
		run(t, func(b *bench) {
			holdOne(b)
			b.Remove("VI_1")
			b.instance("VI_1", "192.0.2.10/24")
			b.Acquire("VI_1")
			b.settle()
			b.want(eth0, own, vip1)
			b.Remove("VI_1")
			b.settle()
			b.instance("VI_1", "192.0.2.10/24")
			b.Acquire("VI_1")
			b.settle()
			b.want(eth0, own, vip1)
		})
	})
	t.Run("of an undecided instance sweeps", func(t *testing.T) {
		run(t, func(b *bench) {
			b.kernel.PutMarked("eth0", "192.0.2.10/24")
			b.instance("VI_1", "192.0.2.10/24")
			b.Remove("VI_1")
			b.settle()
			b.want(eth0, own)
		})
	})
}
