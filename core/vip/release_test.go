package vip

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

func TestLeftOversOfACrash(t *testing.T) {
	//rfc:9568/6.4.2-1 positive
	//rfc:9568/6.4.2-5 positive
	//rfc:3768/6.4.2-1 positive
	//rfc:3768/6.4.2-3 positive
	t.Run("removed by a backup", func(t *testing.T) {
		run(t, func(b *bench) {
			b.kernel.PutMarked("eth0", "192.0.2.10/24")
			b.kernel.Put("eth0", "192.0.2.11/24") // As on a kernel without marks.
			b.instance("VI_1", "192.0.2.10/24", "192.0.2.11/24")
			b.settle()
			b.want(eth0, own, vip1, vip2) // Nothing is decided yet.
			b.Release("VI_1")
			b.settle()
			b.want(eth0, own)
			b.wantEvents("drift VI_1 left_over [192.0.2.10/24 192.0.2.11/24] <nil>")
		})
	})
	//rfc:9568/6.4.2-1 negative
	//rfc:9568/6.4.2-5 negative
	//rfc:3768/6.4.2-1 negative
	//rfc:3768/6.4.2-3 negative
	t.Run("adopted by an active instance", func(t *testing.T) {
		run(t, func(b *bench) {
			b.kernel.PutMarked("eth0", "192.0.2.10/24")
			b.instance("VI_1", "192.0.2.10/24")
			b.Acquire("VI_1")
			b.Announce("VI_1", Burst{Repeat: 1})
			b.settle()
			b.want(eth0, own, vip1, "announced eth0 192.0.2.10 x1")
			b.wantJournal()
			b.wantEvents()
			b.Release("VI_1")
			b.settle()
			b.want(eth0, own)
			b.wantEvents()
		})
	})
	t.Run("removed when the interface appears", func(t *testing.T) {
		run(t, func(b *bench) {
			b.kernel.DelLink("eth0")
			b.instance("VI_1", "192.0.2.10/24")
			b.Release("VI_1")
			b.settle()
			b.kernel.AddLink("eth0", "192.0.2.1/24", "192.0.2.10/24")
			b.settle()
			b.want("link eth0 3 up", own)
		})
	})
	t.Run("removed when an instance is added by reload", func(t *testing.T) {
		run(t, func(b *bench) {
			holdOne(b)
			b.kernel.PutMarked("eth0", "192.0.2.11/24")
			b.instance("VI_2", "192.0.2.11/24")
			b.Release("VI_2")
			b.settle()
			b.want(eth0, own, vip1)
			b.wantEvents("drift VI_2 left_over [192.0.2.11/24] <nil>")
		})
	})
	t.Run("tried until it works", func(t *testing.T) {
		run(t, func(b *bench) {
			b.kernel.PutMarked("eth0", "192.0.2.10/24")
			b.kernel.Fail(kerneltest.CallDelete, 3, errRefused)
			b.instance("VI_1", "192.0.2.10/24")
			b.Release("VI_1")
			time.Sleep(time.Second)
			b.want(eth0, own)
			b.wantEvents("drift VI_1 left_over [192.0.2.10/24] <nil>")
		})
	})
}

func TestAddressOwnerKeepsTheMachinesOwnAddress(t *testing.T) {
	instance := Instance{Name: "VI_1", Interface: "eth0", Addresses: plain("192.0.2.1/24", "192.0.2.10/24"), AddressOwner: true}
	t.Run("over release and end", func(t *testing.T) {
		run(t, func(b *bench) {
			b.Set(instance)
			b.Acquire("VI_1")
			b.settle()
			b.want(eth0, own, vip1)
			b.Release("VI_1")
			b.settle()
			b.want(eth0, own)
			b.Acquire("VI_1")
			b.settle()
			b.end()
			b.want(eth0, own)
			b.wantEvents()
		})
	})
	t.Run("as a backup", func(t *testing.T) {
		run(t, func(b *bench) {
			b.Set(instance)
			b.Release("VI_1")
			b.settle()
			b.want(eth0, own)
			b.wantEvents()
		})
	})
	t.Run("but not what an earlier run left", func(t *testing.T) {
		run(t, func(b *bench) {
			b.kernel.PutMarked("eth0", "192.0.2.10/24")
			b.Set(instance)
			b.Acquire("VI_1")
			b.settle()
			b.end()
			b.want(eth0, own)
		})
	})
	t.Run("and nothing else, even on a kernel without marks", func(t *testing.T) {
		run(t, func(b *bench) {
			b.kernel.ForgetMarks()
			b.Set(instance)
			b.Acquire("VI_1")
			b.settle()
			// The reload makes it look again at what is there.
			reloaded := instance
			reloaded.Addresses = plain("192.0.2.10/24", "192.0.2.1/24")
			b.Set(reloaded)
			b.settle()
			b.want(eth0, own, vip1)
			b.end()
			b.want(eth0, own)
		})
	})
	t.Run("and restores it", func(t *testing.T) {
		run(t, func(b *bench) {
			b.Set(instance)
			b.Acquire("VI_1")
			b.settle()
			b.kernel.Take("eth0", "192.0.2.1/24")
			b.settle()
			b.want(eth0, own, vip1)
			b.wantEvents("drift VI_1 removed [192.0.2.1/24] <nil>")
		})
	})
	t.Run("on an interface made again", func(t *testing.T) {
		run(t, func(b *bench) {
			b.Set(instance)
			b.Acquire("VI_1")
			b.settle()
			b.kernel.DelLink("eth0")
			b.settle()
			b.kernel.AddLink("eth0")
			b.settle()
			b.want("link eth0 3 up", own, vip1)
			// This time it was not the machine that added it.
			b.Release("VI_1")
			b.settle()
			b.want("link eth0 3 up")
		})
	})
}

//rfc:9568/6.4.2-1 positive
//rfc:9568/6.4.2-5 positive
//rfc:3768/6.4.2-1 positive
//rfc:3768/6.4.2-3 positive
func TestAddressAddedToABackupIsRemoved(t *testing.T) {
	run(t, func(b *bench) {
		b.instance("VI_1", "192.0.2.10/24")
		b.Release("VI_1")
		b.settle()
		b.kernel.Put("eth0", "192.0.2.10/24")
		b.settle()
		b.want(eth0, own)
		b.wantEvents("drift VI_1 appeared [192.0.2.10/24] <nil>")
	})
}

func TestFightOverABackupsAddressEndsInATruce(t *testing.T) {
	run(t, func(b *bench) {
		b.instance("VI_1", "192.0.2.10/24")
		b.Release("VI_1")
		b.settle()
		for range 20 {
			if !strings.Contains(b.kernel.String(), vip1) {
				b.kernel.Put("eth0", "192.0.2.10/24")
			}
			b.settle()
		}
		events := strings.Split(b.events.take(), "\n")
		if len(events) != restoreLimit+1 {
			b.Fatalf("observer heard %d times:\n%s", len(events), strings.Join(events, "\n"))
		}
		if last := events[restoreLimit]; !strings.Contains(last, "left alone for 30s") {
			b.Errorf("last event %q", last)
		}
		b.want(eth0, own, vip1)
		// It is taken off after the truce, and at once when it is released
		// after having been held.
		time.Sleep(truce)
		b.want(eth0, own)
		b.Acquire("VI_1")
		b.settle()
		b.Release("VI_1")
		b.settle()
		b.want(eth0, own)
	})
}

func TestReleaseIsTriedUntilItWorks(t *testing.T) {
	run(t, func(b *bench) {
		holdOne(b)
		b.kernel.Fail(kerneltest.CallDelete, 12, errRefused)
		b.Release("VI_1")
		time.Sleep(3 * time.Second)
		if s := b.Snapshot()["VI_1"]; s.Holding || !strings.Contains(s.Error, "refused") || !s.Addresses[0].Present {
			b.Errorf("status %+v", s)
		}
		time.Sleep(time.Minute)
		b.want(eth0, own)
		if s := b.Snapshot()["VI_1"]; s.Error != "" {
			b.Errorf("status %+v", s)
		}
		if n := strings.Count(b.logs.take(), "cannot delete what is released"); n != 1 {
			b.Errorf("logged %d times, want once", n)
		}
		b.wantEvents()
	})
}

func TestReleaseWhenTheInterfaceCannotBeRead(t *testing.T) {
	run(t, func(b *bench) {
		holdOne(b)
		b.kernel.Fail(kerneltest.CallList, 3, errRefused)
		b.Release("VI_1")
		time.Sleep(time.Second)
		b.want(eth0, own)
	})
}

func TestReleaseDropsAnnouncements(t *testing.T) {
	run(t, func(b *bench) {
		b.instance("VI_1", "192.0.2.10/24")
		b.Acquire("VI_1")
		b.Announce("VI_1", Burst{Repeat: 100})
		b.settle()
		b.Release("VI_1")
		synctest.Wait()
		sent := len(b.kernel.Sent())
		if sent == 0 || sent > 3 {
			b.Errorf("%d packets within 30 ms, want two or three rounds", sent)
		}
		time.Sleep(time.Minute)
		if later := len(b.kernel.Sent()); later != sent {
			b.Errorf("%d packets were sent after the release", later-sent)
		}
		// Asked before the next acquisition, an announcement means nothing.
		b.Announce("VI_1", Burst{Repeat: 1})
		b.settle()
		b.Acquire("VI_1")
		b.settle()
		if later := len(b.kernel.Sent()); later != sent {
			b.Errorf("%d packets without being asked", later-sent)
		}
	})
}
