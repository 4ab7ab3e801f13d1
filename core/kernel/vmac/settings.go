package vmac

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/halo-ha/halo/core/kernel/rtnl"
)

// settings are what was changed on a parent.
type settings struct{ arpIgnore, arpFilter, arpAnnounce uint32 }

// aliasFormat is how settings are written into an interface's alias, which also
// says whose the interface is.
const aliasFormat = "halo vmac, parent had arp_ignore=%d arp_filter=%d arp_announce=%d"

func (s settings) alias() string {
	return fmt.Sprintf(aliasFormat, s.arpIgnore, s.arpFilter, s.arpAnnounce)
}

// byName are the settings in the form in which the kernel is asked for them.
func (s settings) byName() map[rtnl.IPv4Setting]uint32 {
	return map[rtnl.IPv4Setting]uint32{rtnl.ARPIgnore: s.arpIgnore, rtnl.ARPFilter: s.arpFilter, rtnl.ARPAnnounce: s.arpAnnounce}
}

// parseAlias reads an alias that halo has written.
func parseAlias(alias string) (settings, bool) {
	var s settings
	_, err := fmt.Sscanf(alias, aliasFormat, &s.arpIgnore, &s.arpFilter, &s.arpAnnounce)
	return s, err == nil && s.alias() == alias
}

// ownAddress makes ARP requests come from an address of the interface itself
// (arp_announce). The kernel would else ask for a neighbour in the name of the
// address that it wants to send from: answers from a virtual address that leave
// by the parent would teach the neighbours the parent's MAC address for it.
const ownAddress = 2

// parentSettings keep the parent from answering with its own MAC address for
// addresses that are on its virtual interfaces: it answers only for addresses
// of its own, and only where it would itself send to the asker.
func parentSettings() map[rtnl.IPv4Setting]uint32 {
	return map[rtnl.IPv4Setting]uint32{rtnl.ARPIgnore: 1, rtnl.ARPFilter: 1, rtnl.ARPAnnounce: ownAddress}
}

// The kernel's ways to check by which interface a packet may come (rp_filter).
const (
	anyInterface = 0
	strict       = 1
	loose        = 2
)

// interfaceSettings are those of the interface. It answers for its own
// addresses alone; packets of this machine that come back are taken; one address
// that goes does not take others along. Packets for a virtual address come by the
// virtual interface while answers to their senders leave by the parent, which
// a strict check would refuse. The kernel uses the larger number of an
// interface's and that for all: so where it is strict for all, the interface is
// made loose, which leaves all others as they are.
func interfaceSettings() (map[rtnl.IPv4Setting]uint32, error) {
	everywhere, err := read("ipv4/conf/all/rp_filter")
	if err != nil {
		return nil, err
	}
	filter := uint32(anyInterface)
	if everywhere == strict {
		filter = loose
	}
	return map[rtnl.IPv4Setting]uint32{
		rtnl.ARPIgnore: 1, rtnl.ARPFilter: 0, rtnl.ARPAnnounce: ownAddress,
		rtnl.RPFilter: filter, rtnl.AcceptLocal: 1, rtnl.PromoteSecondaries: 1,
	}, nil
}

// missing are the wanted settings that differ from those that are there. A
// kernel that does not know a setting has nothing to set.
func missing(present, wanted map[rtnl.IPv4Setting]uint32) map[rtnl.IPv4Setting]uint32 {
	change := make(map[rtnl.IPv4Setting]uint32)
	for setting, value := range wanted {
		if have, ok := present[setting]; ok && have != value {
			change[setting] = value
		}
	}
	return change
}

// tooLow are the wanted settings that are lower. An administrator's higher
// number is stricter, and does as well.
func tooLow(present, wanted map[rtnl.IPv4Setting]uint32) map[rtnl.IPv4Setting]uint32 {
	change := missing(present, wanted)
	for setting := range change {
		if present[setting] > wanted[setting] {
			delete(change, setting)
		}
	}
	return change
}

// setIPv6 sets what rtnetlink does not reach. The interface has the addresses
// that it is given and no others: none made from its MAC address or a router's
// advertisement, and none at all unless IPv6 is wanted. It forwards where its
// parent does.
func setIPv6(want Interface) error {
	forwarding, err := read(filepath.Join("ipv6/conf", want.Parent, "forwarding"))
	if err != nil && (want.IPv6 || want.BothFamilies || !errors.Is(err, fs.ErrNotExist)) {
		return err
	}
	wanted := []struct {
		key   string
		value int
	}{{"addr_gen_mode", 1}, {"forwarding", forwarding}, {"accept_ra", 0}, {"autoconf", 0}, {"router_solicitations", 0}, {"disable_ipv6", 0}}
	if !want.IPv6 && !want.BothFamilies {
		wanted[len(wanted)-1].value = 1
	}
	for _, w := range wanted {
		key := filepath.Join("ipv6/conf", want.Name, w.key)
		present, err := read(key)
		if err == nil && present != w.value {
			err = write(key, w.value)
		}
		// A kernel without IPv6 has nothing to set, if none is wanted.
		if err != nil && (want.IPv6 || want.BothFamilies || !errors.Is(err, fs.ErrNotExist)) {
			return err
		}
	}
	return nil
}

// read and write reach a setting below /proc/sys/net in the calling thread's
// namespace.
func read(key string) (int, error) {
	text, err := os.ReadFile(filepath.Join("/proc/sys/net", key))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

func write(key string, value int) error {
	file, err := os.OpenFile(filepath.Join("/proc/sys/net", key), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(strconv.Itoa(value))
	return errors.Join(err, file.Close())
}
