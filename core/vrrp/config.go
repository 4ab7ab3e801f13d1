package vrrp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// Config is what an operator decides about one virtual router. The Router keeps
// its own copy.
type Config struct {
	Version wire.Version
	// VRID is 1 to 255 and must be the same on all routers of the group.
	VRID uint8
	// Priority is 1 to 255; 255 says that the virtual addresses are this
	// router's own.
	Priority uint8
	// Interval is the Advertisement_Interval (RFC 9568 §6.1): whole seconds in
	// version 2, whole centiseconds in version 3.
	Interval time.Duration
	// Preempt is the Preempt_Mode: whether to take over from an active router
	// of lower priority. An owner always does.
	Preempt bool
	// PreemptDelay is how long a router of lower priority is left in peace,
	// counted from the first of its advertisements. It never delays taking
	// over from a silent network. Zero is off.
	PreemptDelay time.Duration
	// Addresses are advertised as they stand, in this order.
	Addresses []netip.Addr
	// Source is the address to advertise from; invalid means the interface's
	// first address that is not virtual. The Router is told the outcome by
	// InterfaceChanged; the speaker reads this.
	Source netip.Addr
	// IgnoreLinkDown says that an interface that is not up is no fault: the router
	// goes on, and is alone while it is so.
	IgnoreLinkDown bool
	// Checksum is the form that version 3 sends. Both are accepted.
	Checksum wire.ChecksumForm
	// Auth is for version 2.
	Auth wire.Auth
	// HMAC is for both versions, and excludes Auth. The Router only compares and
	// names it: the trailers are the caller's, who has the clock and the marks.
	HMAC         wire.HMAC
	Announcement Announcement
	// AlsoV2 makes a version 3 router speak and hear version 2 as well, while
	// a network moves from one to the other (RFC 9568 §8.4.2). IPv4 only, and
	// without authentication but by HMAC.
	AlsoV2 bool
	// Hold is for how long from its first event the router listens without
	// taking part in the election: see StartupHold. Only New reads it.
	Hold time.Duration
	// Group is the sync group it belongs to; Enroll fills it in.
	Group Membership
}

// StartupHold is how much is left of a delay that counts from the daemon's start
// and one that counts from the machine's: the longer rest, or zero. Where the two
// times come from is the caller's business.
func StartupHold(startupDelay, sinceStart, delayAfterBoot, sinceBoot time.Duration) time.Duration {
	return max(0, startupDelay-sinceStart, delayAfterBoot-sinceBoot)
}

// Announcement is when an active router tells the neighbours where the addresses
// are (RFC 9568 §8.1.2 asks for one gratuitous ARP each; networks lose some).
type Announcement struct {
	// Repeat is how many packets per address make a burst, in the first burst
	// on becoming active and in the second.
	Repeat int
	// Delay is from the first to the second burst; zero means no second one.
	Delay time.Duration
	// Refresh is the period of announcements while active; zero is off.
	Refresh time.Duration
	// RefreshRepeat is the size of those.
	RefreshRepeat int
	// LowerPriorityRepeat is the size of the bursts after another active
	// router of lower priority was heard, or after a stall.
	LowerPriorityRepeat int
	// LowerPriorityDelay is from the first to the second of those bursts;
	// zero means no second one.
	LowerPriorityDelay time.Duration
}

// Validate says whether a Router can work with the configuration.
func (c *Config) Validate() error {
	a := wire.Advertisement{
		Version: c.Version, Family: c.family(), VRID: c.VRID, Priority: c.Priority,
		Interval: c.Interval, Addresses: c.Addresses, Auth: c.Auth,
	}
	if err := a.Validate(); err != nil {
		return err
	}
	if err := c.HMAC.Validate(); err != nil {
		return err
	}
	switch {
	case c.HMAC.Configured() && c.Auth.Type != wire.AuthNone:
		return fmt.Errorf("authentication by trailer goes with none of type %v", c.Auth.Type)
	case c.Priority == wire.PriorityRelease:
		return errors.New("priority 0 is reserved for giving up")
	case c.PreemptDelay < 0:
		return fmt.Errorf("preempt delay %v is negative", c.PreemptDelay)
	case c.Hold < 0:
		return fmt.Errorf("startup delay %v is negative", c.Hold)
	case c.Source.IsValid() && !c.family().Has(c.Source):
		return fmt.Errorf("source address %v is not an %v address", c.Source, c.family())
	case c.AlsoV2 && c.Version != wire.V3:
		return errors.New("version 2 beside another version needs that to be 3")
	case c.AlsoV2 && c.family() != wire.IPv4:
		return errors.New("version 2 has no IPv6")
	}
	return nil
}

// family is that of the addresses: one virtual router has one (RFC 9568 §1).
func (c *Config) family() wire.Family {
	if len(c.Addresses) > 0 && wire.IPv6.Has(c.Addresses[0]) {
		return wire.IPv6
	}
	return wire.IPv4
}

// Equal says whether two configurations are the same, the order of the
// addresses included: it is what goes on the wire. Hold is not compared.
func (c *Config) Equal(other *Config) bool {
	a, b := *c, *other
	same := slices.Equal(a.Addresses, b.Addresses)
	return same && a.Version == b.Version && a.VRID == b.VRID && a.Priority == b.Priority &&
		a.Interval == b.Interval && a.Preempt == b.Preempt && a.PreemptDelay == b.PreemptDelay &&
		a.Source == b.Source && a.IgnoreLinkDown == b.IgnoreLinkDown && a.Checksum == b.Checksum && a.Auth == b.Auth &&
		a.HMAC.Equal(&b.HMAC) && a.Announcement == b.Announcement && a.AlsoV2 == b.AlsoV2 && a.Group == b.Group
}

// Expect is what the receive checks compare advertisements with.
func (c *Config) Expect() wire.Expect {
	return wire.Expect{
		Version: c.Version, Family: c.family(), Interval: c.Interval, Auth: c.Auth, HMAC: c.HMAC, Checksum: c.Checksum,
		Addresses: c.Addresses, Group: c.family().Group(),
	}
}

// owner says whether the virtual addresses are this router's own
// (RFC 9568 §5.2.4).
func (c *Config) owner() bool { return c.Priority == wire.PriorityOwner }

// compareAddresses orders the primary addresses of two routers: as numbers
// (RFC 9568 §6.4.3), whatever link the caller says they are on.
func compareAddresses(a, b netip.Addr) int {
	return a.Unmap().WithZone("").Compare(b.Unmap().WithZone(""))
}
