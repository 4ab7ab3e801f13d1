package inet

import (
	"fmt"
	"strconv"
)

// MacvlanMode is how the macvlan links of one parent reach each other. The zero
// value is MacvlanPrivate.
type MacvlanMode uint8

// The modes that make sense for a link that shares its parent with nobody else.
const (
	// MacvlanPrivate lets macvlan links of the same parent not reach each
	// other at all.
	MacvlanPrivate MacvlanMode = iota
	// MacvlanBridge lets them reach each other without leaving the machine.
	MacvlanBridge
)

func (m MacvlanMode) String() string {
	switch m {
	case MacvlanPrivate:
		return "private"
	case MacvlanBridge:
		return "bridge"
	}
	return strconv.Itoa(int(m))
}

// Macvlan is a link with a MAC address of its own that sends and receives
// through another link.
type Macvlan struct {
	Name   string
	Parent string
	// MAC is the address in the form of net.HardwareAddr's String.
	MAC  string
	Mode MacvlanMode
	// Alias is a remark on the link, by which its maker may know it again. It
	// is there from the first moment on.
	Alias string
}

// String is the link in the words of `ip link add`.
func (m Macvlan) String() string {
	return fmt.Sprintf("link %s name %s address %s type macvlan mode %s", m.Parent, m.Name, m.MAC, m.Mode)
}
