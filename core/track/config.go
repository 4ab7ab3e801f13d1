package track

import "time"

// The limits of weights and priorities.
const (
	// MaxWeight is the largest weight, and the smallest without its sign. More
	// is never added or subtracted for one tracker.
	MaxWeight = 253
	// MaxFactor is the same for the weight of a valued tracker, which is a
	// factor: -254 makes a value of one a fault.
	MaxFactor = 254
	// MinPriority and MaxPriority are what an effective priority is kept
	// within, for who does not own the addresses.
	MinPriority = 1
	MaxPriority = 254
	// Owner is the priority of an address owner (RFC 9568 §5.2.4), which no
	// tracker moves. It may still be in fault.
	Owner = 255
)

// Config is everything that is tracked, and for whom. Names are unique within
// each list; of two that are the same the first counts.
type Config struct {
	Trackers  []Tracker
	Instances []Instance
	Groups    []Group
}

// Tracker is something that is observed.
type Tracker struct {
	Name string
	// Definition stands for everything that says what is observed, and how.
	// Two trackers with equal definitions are the same: the history goes on,
	// even under another name. The fields below are not part of it.
	Definition string
	// Valued says that what is observed is a number, as in a file, which
	// weights are multiplied with: see Use.
	Valued bool
	// Rise and Fall are how many observations of up or down in a row make a
	// verdict; less than 1 means 1. A number counts at once. Where only they
	// change, that counts from the next observation on.
	Rise, Fall int
	// AssumeDown makes the tracker down until rise observations of up
	// (Keepalived's init_fail). Otherwise it is unknown until it has decided.
	AssumeDown bool
	// FailOnLoss makes a tracker whose observer is away for longer than Grace
	// down. Otherwise its verdict stays.
	FailOnLoss bool
	Grace      time.Duration
}

// Instance is one virtual router.
type Instance struct {
	Name string
	// Priority is the configured one, 1..255.
	Priority uint8
	Uses     []Use
}

// Group is a sync group. Its members move together, so their priorities are
// made to: what weighs for one of them weighs for all. Faults stay with the
// member, since the group's own machine spreads them.
type Group struct {
	Name string
	// Members are names of instances; an instance is in one group at most.
	Members []string
	// Uses count for every member. Where a member uses the same tracker, the
	// group's use takes the place of the member's.
	Uses []Use
}

// Use is what a tracker means for an instance. Each tracker counts once for an
// instance: of two uses the first is taken.
type Use struct {
	Tracker string
	// Weight is -MaxWeight..MaxWeight. More than zero is added to the priority
	// while the tracker is up, less than zero while it is down. Zero means that
	// the instance is in fault while it is down.
	//
	// The number of a valued tracker is multiplied with the weight and added,
	// MaxWeight at most; a product of -254 or less is a fault. With weight zero
	// every number but 0 is a fault.
	Weight int
	// Reverse takes up for down and down for up, and the negative of a number.
	Reverse bool
}

// Equal reports whether two configurations are the same, order included.
func (c *Config) Equal(o *Config) bool {
	return equal(c.Trackers, o.Trackers, func(a, b *Tracker) bool { return *a == *b }) &&
		equal(c.Instances, o.Instances, func(a, b *Instance) bool {
			return a.Name == b.Name && a.Priority == b.Priority && equal(a.Uses, b.Uses, sameUse)
		}) &&
		equal(c.Groups, o.Groups, func(a, b *Group) bool {
			return a.Name == b.Name && equal(a.Uses, b.Uses, sameUse) &&
				equal(a.Members, b.Members, func(a, b *string) bool { return *a == *b })
		})
}

func sameUse(a, b *Use) bool { return *a == *b }

func equal[T any](a, b []T, same func(a, b *T) bool) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !same(&a[i], &b[i]) {
			return false
		}
	}
	return true
}
