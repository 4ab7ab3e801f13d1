package track

import "fmt"

// FindingKind is what is wrong with a configuration.
type FindingKind uint8

// The findings. Those before Saturated are errors: the configuration says two
// things at once, or nothing. The others are warnings: it says something that
// is probably not meant.
const (
	UnknownTracker   FindingKind = iota // a use of nothing
	WeightOutOfRange                    // more than can ever be added
	TwoGroups                           // an instance in two groups
	UsesContradict                      // members of a group that use a tracker differently
	OwnersMixed                         // members of a group that own their addresses, and others

	Saturated        // the best priority is cut off at 254
	WithoutEffect    // a tracker that fails alone moves nothing
	CannotYield      // all trackers failing leave the priority above the peer's
	YieldsByAddress  // they leave it equal to the peer's
	OwnerWeighted    // weights for an owner, which nothing moves
	OrderContradicts // members of a group of which one is preferred to its peer, another is not
	UsedTwice        // the same tracker twice in one list
	GroupCounts      // a member's use that the group's takes the place of
	Unused           // a tracker that nobody uses
)

// FindingCount is how many kinds there are.
const FindingCount = int(Unused) + 1

// IsError reports whether the kind is an error rather than a warning.
func (k FindingKind) IsError() bool { return k < Saturated }

// severity orders kinds, errors highest.
func (k FindingKind) severity() int {
	if k.IsError() {
		return 1
	}
	return 0
}

// String returns the kind's word.
func (k FindingKind) String() string {
	switch k {
	case UnknownTracker:
		return "unknown_tracker"
	case WeightOutOfRange:
		return "weight_out_of_range"
	case TwoGroups:
		return "two_groups"
	case UsesContradict:
		return "uses_contradict"
	case OwnersMixed:
		return "owners_mixed"
	case Saturated:
		return "saturated"
	case WithoutEffect:
		return "without_effect"
	case CannotYield:
		return "cannot_yield"
	case YieldsByAddress:
		return "yields_by_address"
	case OwnerWeighted:
		return "owner_weighted"
	case OrderContradicts:
		return "order_contradicts"
	case UsedTwice:
		return "used_twice"
	case GroupCounts:
		return "group_counts"
	case Unused:
		return "unused"
	default:
		return "invalid"
	}
}

// Finding is one thing that is wrong. Which fields are set depends on the kind.
type Finding struct {
	Kind                     FindingKind
	Group, Instance, Tracker string
	// Weight is the use's; Limit what it may be, without its sign.
	Weight, Limit int
	// Priority is the healthy one, Low the lowest, Sum what would be reached
	// if there were no limit.
	Priority, Low uint8
	Sum           int
	// Rival is the other router, member or group that the finding is about.
	// Assumed says that nothing is known about it.
	Rival         string
	RivalPriority uint8
	Assumed       bool
}

// String returns what is wrong, and what to do about it.
func (f Finding) String() string {
	object := f.Instance
	if object == "" {
		object = f.Group
	}
	switch f.Kind {
	case UnknownTracker:
		return fmt.Sprintf("%s uses tracker %s, which there is not", object, f.Tracker)
	case WeightOutOfRange:
		return fmt.Sprintf("%s gives tracker %s weight %d, which is not within -%d..%d", object, f.Tracker, f.Weight, f.Limit, f.Limit)
	case TwoGroups:
		return fmt.Sprintf("%s is in group %s and in group %s; it can move with one only", f.Instance, f.Rival, f.Group)
	case UsesContradict:
		return fmt.Sprintf("%s and %s use tracker %s in different ways, but group %s moves together: "+
			"let the group use it", f.Rival, f.Instance, f.Tracker, f.Group)
	case OwnersMixed:
		return fmt.Sprintf("group %s has members of priority %d and others: the first never give way, so the group cannot", f.Group, Owner)
	case Saturated:
		return fmt.Sprintf("%s would reach priority %d while its trackers are up, but %d is the most: "+
			"the rest of the weights is lost; lower the priority or the weights", f.Instance, f.Sum, f.Priority)
	case WithoutEffect:
		return fmt.Sprintf("%s keeps priority %d when tracker %s (weight %+d) fails: it changes nothing", f.Instance, f.Priority, f.Tracker, f.Weight)
	case CannotYield, YieldsByAddress:
		return f.yield()
	case OwnerWeighted:
		return fmt.Sprintf("%s has priority %d, which no tracker moves: its weights change nothing", f.Instance, Owner)
	case OrderContradicts:
		return fmt.Sprintf("group %s has a member with a higher priority than its peer and one with a lower: it cannot settle", f.Group)
	case UsedTwice:
		return fmt.Sprintf("%s uses tracker %s twice; the first counts", object, f.Tracker)
	case GroupCounts:
		return fmt.Sprintf("%s uses tracker %s in another way than its group %s; the group's counts", f.Instance, f.Tracker, f.Group)
	case Unused:
		return fmt.Sprintf("tracker %s is used by nothing", f.Tracker)
	default:
		return "invalid"
	}
}

func (f Finding) yield() string {
	assumed := ""
	if f.Assumed {
		assumed = ", the usual one"
	}
	if f.Kind == YieldsByAddress {
		return fmt.Sprintf("%s goes from priority %d to %d when all its trackers fail, the same as %s has (%d%s): "+
			"the addresses decide; make the weights larger", f.Instance, f.Priority, f.Low, f.Rival, f.RivalPriority, assumed)
	}
	return fmt.Sprintf("%s goes from priority %d to %d when all its trackers fail, still above %s (%d%s): "+
		"its weights cannot move mastership; make them larger or leave them out", f.Instance, f.Priority, f.Low, f.Rival, f.RivalPriority, assumed)
}
