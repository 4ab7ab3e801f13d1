package peers

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

// fields are what tshark is asked about each frame.
var fields = []string{
	"frame.number", "eth.src", "ip.src", "ip.dst", "ip.ttl", "ip.dsfield", "ip.checksum.status",
	"ipv6.src", "ipv6.dst", "ipv6.hlim", "ipv6.tclass", "ah.next_header", "ah.icv",
	"vrrp.version", "vrrp.type", "vrrp.virt_rtr_id", "vrrp.prio", "vrrp.addr_count", "vrrp.ip_addr", "vrrp.ipv6_addr", "vrrp.checksum.status",
	"vrrp.auth_type", "vrrp.auth_string", "vrrp.adver_int", "vrrp.short_adver_int",
	"arp.opcode", "arp.src.hw_mac", "arp.src.proto_ipv4", "arp.dst.proto_ipv4", "arp.isgratuitous",
	"icmpv6.type", "icmpv6.checksum.status", "icmpv6.nd.na.target_address", "icmpv6.nd.na.flag.s", "icmpv6.nd.na.flag.o", "icmpv6.opt.linkaddr",
	"_ws.malformed", "_ws.expert.severity", "_ws.expert.message",
}

// frame is one frame as tshark reads it: a value for each of fields, empty where
// the frame has no such field.
type frame map[string]string

// severe is tshark's level of findings that are errors.
const severe = "8388608"

// dissect has tshark read a capture.
func dissect(t *testing.T, file string) []frame {
	t.Helper()
	kerneltest.RequireTool(t, "tshark")
	args := []string{"-r", file, "-n", "-o", "ip.check_checksum:TRUE", "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=,"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	cmd := exec.CommandContext(t.Context(), kerneltest.ToolPath("tshark"), args...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, said.String())
	}
	var frames []frame
	for line := range strings.Lines(string(out)) {
		values := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(values) != len(fields) {
			t.Fatalf("tshark wrote %d fields, want %d: %q", len(values), len(fields), line)
		}
		f := frame{}
		for i, name := range fields {
			f[name] = values[i]
		}
		frames = append(frames, f)
	}
	return frames
}

// expected are the fields of every advertisement of halo in a form.
func expected(f form) frame {
	var list []string
	for _, v := range f.vips() {
		address, _, _ := strings.Cut(v, "/")
		list = append(list, address)
	}
	addresses := strings.Join(list, ",")
	want := frame{
		"vrrp.version": strconv.Itoa(f.version), "vrrp.type": "1", "vrrp.virt_rtr_id": strconv.Itoa(vrid),
		"vrrp.addr_count": strconv.Itoa(len(list)), "vrrp.checksum.status": "1",
	}
	if f.ipv6 {
		want["ipv6.hlim"], want["ipv6.tclass"], want["vrrp.ipv6_addr"] = "255", "0x000000c0", addresses
	} else {
		want["ip.ttl"], want["ip.dsfield"], want["ip.checksum.status"], want["vrrp.ip_addr"] = "255", "0xc0", "1", addresses
	}
	switch {
	case f.unicast: // To each peer: see faults.
	case f.ipv6:
		want["ipv6.dst"] = "ff02::12"
	default:
		want["ip.dst"] = "224.0.0.18"
	}
	if f.version == 3 {
		want["vrrp.short_adver_int"] = strconv.FormatInt(f.interval.Milliseconds()/10, 10)
		return want
	}
	want["vrrp.adver_int"] = strconv.Itoa(int(f.interval.Seconds()))
	switch f.auth {
	case "pass":
		want["vrrp.auth_type"], want["vrrp.auth_string"] = "1", password
	case "ah":
		want["vrrp.auth_type"], want["ah.next_header"] = "2", "112"
	default:
		want["vrrp.auth_type"] = "0"
	}
	return want
}

// faults lists what is wrong with frames: what tshark cannot read or finds
// wrong, whoever sent it, and what of halo's is not as expected. halos are the
// hardware addresses of its hosts by the address it speaks from.
func faults(frames []frame, f form, halos map[string]string) (list []string, adverts, announcements int) {
	address := func(fr frame, end string) string { return fr["ip."+end] + fr["ipv6."+end] } // It has one of them.
	fault := func(fr frame, format string, args ...any) {
		list = append(list, fmt.Sprintf("frame %s of %s: ", fr["frame.number"], fr["eth.src"])+fmt.Sprintf(format, args...))
	}
	for _, fr := range frames {
		if fr["_ws.malformed"] != "" || slices.Contains(strings.Split(fr["_ws.expert.severity"], ","), severe) {
			fault(fr, "%s %s", fr["_ws.malformed"], fr["_ws.expert.message"])
		}
		for _, sum := range []string{"ip.checksum.status", "vrrp.checksum.status", "icmpv6.checksum.status"} {
			if fr[sum] == "0" {
				fault(fr, "%s is bad", sum)
			}
		}
		mac, ours := halos[address(fr, "src")]
		switch {
		case fr["vrrp.version"] != "" && ours:
			adverts++
			if fr["eth.src"] != mac {
				fault(fr, "sent from %s", fr["eth.src"])
			}
			for name, want := range expected(f) {
				if fr[name] != want {
					fault(fr, "%s is %q, want %q", name, fr[name], want)
				}
			}
			if f.unicast && !toPeer(f, address(fr, "src"), address(fr, "dst")) {
				fault(fr, "sent to %s", address(fr, "dst"))
			}
		case fr["icmpv6.type"] == "136" && fr["icmpv6.nd.na.target_address"] == f.vip() && fr["ipv6.dst"] == "ff02::1" && isOneOf(halos, fr["eth.src"]):
			announcements++
			if fr["ipv6.hlim"] != "255" || fr["icmpv6.nd.na.flag.s"] != "0" || fr["icmpv6.nd.na.flag.o"] != "1" || fr["icmpv6.opt.linkaddr"] != fr["eth.src"] {
				fault(fr, "an announcement with %v", fr)
			}
		// A reply is the kernel's, to somebody else's announcement.
		case fr["arp.opcode"] == "1" && fr["arp.src.proto_ipv4"] == f.vip() && isOneOf(halos, fr["eth.src"]):
			announcements++
			if fr["arp.dst.proto_ipv4"] != f.vip() || fr["arp.src.hw_mac"] != fr["eth.src"] || fr["arp.isgratuitous"] == "" {
				fault(fr, "an announcement with %v", fr)
			}
		}
	}
	return list, adverts, announcements
}

// toPeer tells whether a destination is one that a halo was told to speak to.
func toPeer(f form, source, destination string) bool {
	for host := 1; host <= most; host++ {
		if destination == f.source(host) {
			return destination != source
		}
	}
	return false
}

func isOneOf(halos map[string]string, mac string) bool {
	for _, m := range halos {
		if m == mac {
			return true
		}
	}
	return false
}

// verify asks each halo what it thinks of its peers, and has tshark read what
// the whole act has sent.
func verify(t *testing.T, g *group) {
	for _, r := range g.routers {
		if r.halo == nil {
			continue
		}
		// What was contested is forgotten after three intervals of peace.
		var v control.VRRPInstance
		g.eventually("halo on "+r.host.Label()+" disagrees with nobody", func() bool {
			s, err := r.halo.TryStatus(t)
			v = s.VRRPInstances["VI_1"]
			return err == nil && v.State != "" && len(v.Mismatches) == 0
		})
		for name, n := range v.Counters {
			// With an authentication header all routers of a group count together:
			// who could not hear the others has fallen behind, and is not believed
			// before it has heard them.
			behind := g.form.auth == "ah" && name == "dropped_replay"
			if strings.HasPrefix(name, "dropped_") && n != 0 && !behind {
				t.Errorf("halo on %s has counted %d of %s", r.host.Label(), n, name)
			}
		}
	}
	g.capture.close()
	if g.capture.err != nil {
		t.Fatalf("write the capture: %v", g.capture.err)
	}
	list, adverts, announcements := faults(dissect(t, g.capture.file), g.form, g.halos)
	want, claims := 0, 0
	for _, a := range g.capture.since(time.Time{}) {
		if _, ours := g.halos[a.source]; ours {
			want++
		}
	}
	// Several may have the virtual MAC address.
	for _, mac := range slices.Compact(slices.Sorted(maps.Values(g.halos))) {
		claims += g.capture.claims[mac]
	}
	if adverts != want || announcements != claims {
		t.Errorf("tshark has found %d advertisements and %d announcements of halo, want %d and %d", adverts, announcements, want, claims)
	}
	for i, f := range list {
		if i == 20 {
			t.Errorf("and %d more", len(list)-i)
			break
		}
		t.Error(f)
	}
}

// TestReaderFinds proves that the reader complains about what is wrong, and
// about nothing else.
func TestReaderFinds(t *testing.T) {
	t.Parallel()
	const mac = "02:00:00:00:00:01"
	// halo's own advertisement of version 3, in a frame.
	good := []byte{
		0x01, 0x00, 0x5e, 0x00, 0x00, 0x12, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00,
		0x45, 0xc0, 0x00, 0x20, 0x00, 0x00, 0x40, 0x00, 0xff, 0x70, 0xd8, 0x99, 192, 0, 2, 1, 224, 0, 0, 18,
		0x31, vrid, 200, 1, 0x00, 50, 0xa1, 0xfd, 192, 0, 2, 10,
	}
	for name, tc := range map[string]struct {
		change func(frame []byte) []byte
		want   string // part of a fault; empty = none
	}{
		"good":           {func(f []byte) []byte { return f }, ""},
		"checksum":       {func(f []byte) []byte { f[41]++; return f }, "vrrp.checksum.status is bad"},
		"IP checksum":    {func(f []byte) []byte { f[25]++; return f }, "ip.checksum.status is bad"},
		"truncated":      {func(f []byte) []byte { return f[:40] }, "Malformed"},
		"another router": {func(f []byte) []byte { f[35], f[41] = f[35]+1, f[41]-1; return f }, "vrrp.virt_rtr_id"},
		"another sender": {func(f []byte) []byte { f[11]++; return f }, "sent from"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "one.pcap")
			file, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			p := newPcap(file)
			p.write(time.Unix(1, 2), tc.change(slices.Clone(good)))
			if err := p.close(); err != nil {
				t.Fatal(err)
			}
			list, _, _ := faults(dissect(t, path), form{version: 3, interval: 500 * time.Millisecond}, map[string]string{"192.0.2.1": mac})
			got := strings.Join(list, "\n")
			if (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) {
				t.Errorf("the reader finds %q, want %q", got, tc.want)
			}
		})
	}
}
