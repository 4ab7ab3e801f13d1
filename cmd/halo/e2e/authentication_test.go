package e2e

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// keys are the secrets of the tests, by id.
var keys = map[uint8][]byte{
	1: []byte("correct-horse-battery-staple-0001"),
	2: {0: 0xff, 31: 0x80},
	3: []byte("another-horse-battery-staple-0003"),
}

// signedConfig is an instance that signs with a key and believes all of ids.
func signedConfig(dir string, priority int, more, mode string, send uint8, ids ...uint8) string {
	var list []string
	for _, id := range ids {
		list = append(list, fmt.Sprintf("{ id = %d, secret = \"file:%s/%d.key\" }", id, dir, id))
	}
	return fmt.Sprintf(`[vrrp_instance.VI_1]
interface         = "eth0"
virtual_router_id = 51
priority          = %d
advert_interval   = "%s"
%s

[vrrp_instance.VI_1.authentication]
type       = "hmac"
mode       = %q
active_key = %d
key        = [%s]
`, priority, map[bool]string{true: "1s", false: "500ms"}[strings.Contains(more, "version = 2")], more, mode, send, strings.Join(list, ", "))
}

// keyDir is a directory with a file for each key, as text and in hexadecimal.
func keyDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for id, key := range keys {
		text := string(key)
		if id == 2 {
			text = "hex:" + hex.EncodeToString(key)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.key", id)), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var oneAddress = fmt.Sprintf("addresses = [\"%s/24\"]", vip)

// In every version, family and way to travel: what halo sends is what the
// specification says, two of them understand each other, and a key is replaced in
// three steps without either noticing.
func TestSignedAdvertisements(t *testing.T) {
	for _, tc := range []struct{ name, more, source string }{
		{"v3", oneAddress, aSource},
		{"v3 plain checksum", oneAddress + "\nchecksum = \"plain\"", aSource},
		{"v2", oneAddress + "\nversion = 2", aSource},
		{"v3 IPv6", fmt.Sprintf("addresses = [\"%s/64\", \"%s/64\"]", linkVIP6, vip6), "::"},
		{"unicast", oneAddress + fmt.Sprintf("\nunicast_peers = [%q, %q, \"192.0.2.3\"]", aSource, bSource), aSource},
		{"both families", fmt.Sprintf("addresses = [\"%s/24\", \"%s/64\"]", vip, linkVIP6), aSource},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := keyDir(t)
			n := lab.New(t)
			a, b := n.Host("a", aSource+"/24"), n.Host("b", bSource+"/24")
			tap := newWiretap(t, n.Host("onlooker", "192.0.2.3/24"))
			address := vip
			if tc.source == "::" {
				address = vip6
			}
			better := a.Halo(signedConfig(dir, 150, tc.more, "enforce", 1, 1))
			n.WaitOwner(address, a)
			other := b.Halo(signedConfig(dir, 100, tc.more, "enforce", 1, 1))
			n.HoldsOwner(address, a, downInterval(time.Second))
			before := [...]map[string]uint64{better.Status(t).VRRPInstances["VI_1"].Counters, other.Status(t).VRRPInstances["VI_1"].Counters}
			for _, step := range []struct {
				send uint8
				ids  []uint8
			}{{1, []uint8{1, 2}}, {2, []uint8{1, 2}}, {2, []uint8{2}}} {
				better.MustReload(t, signedConfig(dir, 150, tc.more, "enforce", step.send, step.ids...))
				other.MustReload(t, signedConfig(dir, 100, tc.more, "enforce", step.send, step.ids...))
				n.HoldsOwner(address, a, time.Second)
			}
			lab.Eventually(t, "the new key is used", func() bool {
				list := tap.adverts(tc.source)
				return len(list) > 0 && list[len(list)-1].signed() && list[len(list)-1].keyID() == 2
			})
			for i, h := range []*lab.Halo{better, other} {
				v := h.Status(t).VRRPInstances["VI_1"]
				if v.Counters["transitions"] != before[i]["transitions"] || len(v.Mismatches) != 0 {
					t.Errorf("%d changed its state %d times, and tells of %q", i, v.Counters["transitions"]-before[i]["transitions"], v.Mismatches)
				}
				for event, count := range v.Counters {
					if strings.HasPrefix(event, "dropped_") && count != 0 {
						t.Errorf("%d has %d %s", i, count, event)
					}
				}
				if k := v.Authentication; k == nil || k.Type != "hmac" || k.Mode != "enforce" || k.ActiveKey != 2 || len(k.Keys) != 1 || k.TimeWindow != 5 {
					t.Errorf("%d shows %+v", i, k)
				}
			}
			var last uint64
			ids := map[uint8]bool{}
			for i, o := range tap.adverts(tc.source) {
				if !o.signed() {
					t.Fatalf("advertisement %d has no trailer: %x", i, o.payload)
				}
				if err := o.verify(keys[o.keyID()]); err != nil {
					t.Errorf("advertisement %d with key %d: %v", i, o.keyID(), err)
				}
				// Copies for several peers are one advertisement.
				if s := o.sequence(); s < last || s == last && o.to.IsMulticast() {
					t.Errorf("advertisement %d has number %x behind %x", i, s, last)
				}
				last, ids[o.keyID()] = o.sequence(), true
			}
			if len(ids) != 2 {
				t.Errorf("keys used: %v", ids)
			}
			for i, h := range []*lab.Halo{better, other} {
				if out := h.Output(); strings.Contains(out, string(keys[1])) || strings.Contains(out, hex.EncodeToString(keys[2])) {
					t.Errorf("%d has a key in its log", i)
				}
			}
			// Who leaves says so, and is believed; who is killed and comes back, too.
			better.Kill()
			lab.Eventually(t, "the other has taken over", func() bool { return b.HasAddress("eth0", address) })
			better.Start(t)
			n.WaitOwner(address, a)
			if err := better.Terminate(); err != nil {
				t.Error(err)
			}
			n.WaitOwner(address, b)
		})
	}
}

// Whatever is forged, recorded or old: everybody stays where he is, counts it, and
// says once what it was.
func TestForgedAdvertisements(t *testing.T) {
	t.Parallel()
	dir := keyDir(t)
	n := lab.New(t)
	a, b := n.Host("a", aSource+"/24"), n.Host("b", bSource+"/24")
	tap := newWiretap(t, n.Host("onlooker", "192.0.2.3/24"))
	better := a.Halo(signedConfig(dir, 150, oneAddress, "enforce", 1, 1))
	n.WaitOwner(vip, a)
	other := b.Halo(signedConfig(dir, 100, oneAddress, "enforce", 1, 1))
	lab.Eventually(t, "the backup hears the active router", func() bool {
		v := other.Status(t).VRRPInstances["VI_1"]
		return v.State == "backup" && v.Counters["adverts_received"] > 2
	})
	before := better.Status(t).VRRPInstances["VI_1"].Counters["transitions"] + other.Status(t).VRRPInstances["VI_1"].Counters["transitions"]

	const times = 20
	sent := 0
	spoilLast := func(p []byte) { p[len(p)-1] ^= 1 }
	for _, tc := range []struct {
		count string
		send  func()
	}{
		{"dropped_hmac_missing", func() { tap.forge(forgery{source: aSource, priority: 0}) }},
		{"dropped_hmac_invalid", func() {
			tap.forge(forgery{source: aSource, priority: 0, key: keys[1], id: 1, at: time.Now(), spoil: spoilLast})
		}},
		{"dropped_hmac_invalid", func() {
			tap.forge(forgery{source: "192.0.2.66", priority: 250, key: keys[3], id: 1, at: time.Now()})
		}},
		{"dropped_hmac_unknown_key", func() {
			tap.forge(forgery{source: "192.0.2.66", priority: 250, key: keys[3], id: 3, at: time.Now()})
		}},
		{"dropped_hmac_malformed", func() {
			tap.forge(forgery{source: aSource, priority: 0, key: keys[1], id: 1, at: time.Now(), spoil: func(p []byte) { p[12] = 2 }})
		}},
		// A genuine signature of another time: a record from before a restart.
		{"dropped_hmac_stale", func() {
			tap.forge(forgery{source: aSource, priority: 0, key: keys[1], id: 1, at: time.Now().Add(-time.Hour)})
		}},
		{"dropped_hmac_stale", func() {
			tap.forge(forgery{source: aSource, priority: 0, key: keys[1], id: 1, at: time.Now().Add(time.Hour)})
		}},
		{"dropped_hmac_replay", func() {
			// To the active router it is its own, and the first one counts.
			list := tap.adverts(aSource)
			tap.repeat(list[len(list)-1])
		}},
	} {
		was := other.Status(t).VRRPInstances["VI_1"].Counters[tc.count]
		for range times {
			tc.send()
			sent++
		}
		lab.Eventually(t, "it is counted as "+tc.count, func() bool { return other.Status(t).VRRPInstances["VI_1"].Counters[tc.count] >= was+times })
	}
	// Much longer than a resignation takes to be obeyed.
	n.HoldsOwner(vip, a, downInterval(500*time.Millisecond))
	after := better.Status(t).VRRPInstances["VI_1"].Counters["transitions"] + other.Status(t).VRRPInstances["VI_1"].Counters["transitions"]
	if after != before {
		t.Errorf("they have changed their states %d times", after-before)
	}
	for _, h := range []*lab.Halo{better, other} {
		if told := strings.Count(h.Output(), "peer disagrees"); told == 0 || told > sent/4 {
			t.Errorf("the log tells %d times of %d packets", told, sent)
		}
	}
	// The test could not fail if genuine ones did not count.
	tap.forge(forgery{source: aSource, priority: 0, key: keys[1], id: 1, at: time.Now()})
	lab.Eventually(t, "a genuine resignation is believed", func() bool {
		return other.Status(t).VRRPInstances["VI_1"].Counters["priority_zero_received"] > 0
	})
}

// A router whose clock was set back is not believed while it repeats numbers, and
// is told apart from one whose clock is merely off; with a clock outside the window
// it is not believed at all. Everybody who takes over in the meantime hands back.
func TestClockOfAPeer(t *testing.T) {
	t.Parallel()
	dir := keyDir(t)
	n := lab.New(t)
	a := n.Host("a", aSource+"/24")
	tap := newWiretap(t, n.Host("peer", "192.0.2.66/24"))
	h := a.Halo(signedConfig(dir, 100, oneAddress, "enforce", 1, 1))
	// The peer is better, so halo stands by as long as it is believed.
	speak := func(ahead time.Duration) {
		tap.forge(forgery{source: "192.0.2.66", priority: 200, key: keys[1], id: 1, at: time.Now().Add(ahead)})
	}
	until := func(what string, ahead time.Duration, condition func() bool) {
		t.Helper()
		lab.Eventually(t, what, func() bool { speak(ahead); time.Sleep(50 * time.Millisecond); return condition() })
	}
	counted := func(event string) uint64 { return h.Status(t).VRRPInstances["VI_1"].Counters[event] }
	told := func(words ...string) func() bool {
		return func() bool {
			for _, m := range h.Status(t).VRRPInstances["VI_1"].Mismatches {
				if containsAll(m, words...) {
					return true
				}
			}
			return false
		}
	}
	until("it is believed", 0, func() bool { return counted("adverts_received") > 5 })
	until("a clock that is off is told of", 4*time.Second, told("clock with 192.0.2.66", "here a window of 5s", "ahead, which still counts"))
	if h.Status(t).VRRPInstances["VI_1"].State != "backup" || counted("clock_mismatches") == 0 {
		t.Errorf("%+v", h.Status(t).VRRPInstances["VI_1"])
	}
	// Set back: until it has passed what it has said before, it says nothing new.
	until("numbers that come again are told of", 0, told("replay with 192.0.2.66"))
	received := counted("adverts_received")
	until("it is believed again by itself", 0, func() bool { return counted("adverts_received") > received })
	h.WaitState(t, "VI_1", "backup")
	until("a wrong clock is told of", -time.Minute, told("clock with 192.0.2.66", "a clock 1m0s behind"))
	until("halo is active without it", -time.Minute, func() bool { return h.Status(t).VRRPInstances["VI_1"].State == "active" })
	until("it is believed once the clock is right", 0, func() bool { return h.Status(t).VRRPInstances["VI_1"].State == "backup" })
	lab.Eventually(t, "what is over is forgotten", func() bool {
		speak(0)
		time.Sleep(50 * time.Millisecond)
		return len(h.Status(t).VRRPInstances["VI_1"].Mismatches) == 0
	})
}

// A group comes to signed advertisements one router and one mode after the other,
// and says who is not there yet.
func TestComingToSignatures(t *testing.T) {
	t.Parallel()
	dir := keyDir(t)
	n := lab.New(t)
	a, b := n.Host("a", aSource+"/24"), n.Host("b", bSource+"/24")
	tap := newWiretap(t, n.Host("onlooker", "192.0.2.3/24"))
	unsigned := func(priority int) string {
		text, _, _ := strings.Cut(signedConfig(dir, priority, oneAddress, "", 1), "\n[vrrp_instance.VI_1.authentication]")
		return text
	}
	better, other := a.Halo(unsigned(150)), b.Halo(unsigned(100))
	n.WaitOwner(vip, a)
	lab.Eventually(t, "the other one stands by", func() bool { return other.Status(t).VRRPInstances["VI_1"].Counters["adverts_received"] > 1 })
	before := better.Status(t).VRRPInstances["VI_1"].Counters["transitions"] + other.Status(t).VRRPInstances["VI_1"].Counters["transitions"]
	for _, mode := range []string{"receive-only", "permissive", "enforce"} {
		// The backup first: it sees who is behind.
		report := other.MustReload(t, signedConfig(dir, 100, oneAddress, mode, 1, 1))
		if warned := containsAll(strings.Join(report.Warnings, "\n"), "authentication.mode"); warned != (mode != "enforce") {
			t.Errorf("%s: warnings %q", mode, report.Warnings)
		}
		if mode == "permissive" {
			lab.Eventually(t, "the one that does not sign yet is named", func() bool {
				m := other.Status(t).VRRPInstances["VI_1"].Mismatches
				return len(m) == 1 && containsAll(m[0], "authentication with "+aSource, "no trailer, which counts as long as the mode is permissive")
			})
		}
		better.MustReload(t, signedConfig(dir, 150, oneAddress, mode, 1, 1))
		n.HoldsOwner(vip, a, downInterval(500*time.Millisecond))
		list := tap.adverts(aSource)
		if last := list[len(list)-1]; last.signed() != (mode != "receive-only") {
			t.Errorf("%s: signed is %t", mode, last.signed())
		}
	}
	after := better.Status(t).VRRPInstances["VI_1"].Counters["transitions"] + other.Status(t).VRRPInstances["VI_1"].Counters["transitions"]
	if after != before {
		t.Errorf("they have changed their states %d times", after-before)
	}
	lab.Eventually(t, "nobody is behind any more", func() bool { return len(other.Status(t).VRRPInstances["VI_1"].Mismatches) == 0 })

	t.Log("a key that only one of them has: both are active, and both say why")
	other.MustReload(t, signedConfig(dir, 100, oneAddress, "enforce", 3, 3))
	for h, want := range map[*lab.Halo][]string{
		better: {"authentication with " + bSource, "keys 1, sending with 1, there key 3"},
		other:  {"authentication with " + aSource, "keys 3, sending with 3, there key 1"},
	} {
		lab.Eventually(t, "it is told", func() bool {
			m := h.Status(t).VRRPInstances["VI_1"].Mismatches
			return len(m) == 1 && containsAll(m[0], want...)
		})
	}
	other.MustReload(t, signedConfig(dir, 100, oneAddress, "enforce", 1, 1, 3))
	n.WaitOwner(vip, a)

	t.Log("a key file that others can read is refused, and what runs goes on")
	if err := os.Chmod(filepath.Join(dir, "1.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	report := better.Reload(t, signedConfig(dir, 150, oneAddress, "enforce", 1, 1))
	if report.Applied || !containsAll(strings.Join(report.Problems, "\n"), "others than its owner can open", "chmod 600") {
		t.Errorf("%+v", report)
	}
	n.HoldsOwner(vip, a, time.Second)
}

// A router that knows no trailers, as Keepalived before 2.4, gets along with one that
// only receives them, and drops what is signed: whoever goes on too early is told who
// is not ready.
func TestSignaturesBesideKeepalived(t *testing.T) {
	t.Parallel()
	dir := keyDir(t)
	n := lab.New(t)
	a, b := n.Host("a", aSource+"/24"), n.Host("b", bSource+"/24")
	h := a.Halo(signedConfig(dir, 150, oneAddress, "receive-only", 1, 1))
	n.WaitOwner(vip, a)
	s := settings{version: 3, interval: "0.5", preempt: true, vips: []string{vip + "/24"}}
	keepalived := b.Keepalived(keepalivedConfig(s.with(100)))
	keepalived.WaitOutput("Entering BACKUP STATE")
	n.HoldsOwner(vip, a, 2*downInterval(500*time.Millisecond))

	h.MustReload(t, signedConfig(dir, 150, oneAddress, "permissive", 1, 1))
	lab.Eventually(t, "it is told who does not understand", func() bool {
		all := strings.Join(h.Status(t).VRRPInstances["VI_1"].Mismatches, "\n")
		return containsAll(all, "other_active with "+bSource, "authentication with "+bSource, "no trailer, which counts as long as the mode is permissive")
	})
	if !b.HasAddress("eth0", vip) || !a.HasAddress("eth0", vip) {
		t.Errorf("owners: %q", n.Owners(vip))
	}
	h.MustReload(t, signedConfig(dir, 150, oneAddress, "receive-only", 1, 1))
	n.WaitOwner(vip, a)
}

// Who sends from a virtual MAC address signs in the same way.
func TestSignaturesFromAVirtualMAC(t *testing.T) {
	t.Parallel()
	dir := keyDir(t)
	n := lab.New(t)
	a, b := n.Host("a", aSource+"/24"), n.Host("b", bSource+"/24")
	tap := newWiretap(t, n.Host("onlooker", "192.0.2.3/24"))
	better := a.Halo(signedConfig(dir, 150, oneAddress+"\nvmac = true", "enforce", 1, 1))
	better.WaitState(t, "VI_1", "active")
	other := b.Halo(signedConfig(dir, 100, oneAddress+"\nvmac = true", "enforce", 1, 1))
	lab.Eventually(t, "the other one believes it", func() bool {
		v := other.Status(t).VRRPInstances["VI_1"]
		return v.State == "backup" && v.Counters["adverts_received"] > 5
	})
	list := tap.adverts(aSource)
	if len(list) == 0 {
		t.Fatal("nothing was heard")
	}
	for i, o := range list {
		if err := o.verify(keys[1]); err != nil {
			t.Errorf("advertisement %d: %v", i, err)
		}
	}
	if err := better.Terminate(); err != nil {
		t.Error(err)
	}
	other.WaitState(t, "VI_1", "active")
}
