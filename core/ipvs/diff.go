package ipvs

// Diff appends to ops what has to be done, in this order, to turn actual into
// wanted, and returns the longer slice. Both tables must be sorted (Table.Sort).
//
// A service in wanted is ours by being wanted, whoever made it. A service in
// actual alone is deleted if owned says that it is ours and is left alone
// otherwise; a nil owned owns nothing.
//
// The order keeps every service able to serve at each step. The operations on
// one service follow each other: the service itself, added destinations, edits
// that give weight, edits that take it, deleted destinations. Deleted services
// come last, and their destinations go with them. Everything that is not
// identity is edited in place, the forwarding method and the scheduler
// included, which keeps established connections where they are.
//
// Diff allocates nothing when there is nothing to do.
func Diff(ops []Op, actual, wanted Table, owned func(ServiceKey) bool) []Op {
	i, j := 0, 0
	for j < len(wanted) {
		w := &wanted[j]
		c := -1 // what is wanted stands before what is there, so it is missing
		if i < len(actual) {
			c = w.Key.Compare(actual[i].Key)
		}
		switch {
		case c > 0:
			i++
		case c < 0:
			ops = append(ops, Op{Verb: AddService, Service: w.bare()})
			ops = diffDestinations(ops, nil, w)
			j++
		default:
			a := &actual[i]
			if !a.SameAttributes(w) {
				ops = append(ops, Op{Verb: EditService, Service: w.bare(), WasService: a.bare()})
			}
			ops = diffDestinations(ops, a.Destinations, w)
			i++
			j++
		}
	}
	return diffStrays(ops, actual, wanted, owned)
}

// diffStrays appends the removal of services that are ours and no longer wanted.
func diffStrays(ops []Op, actual, wanted Table, owned func(ServiceKey) bool) []Op {
	if owned == nil {
		return ops
	}
	j := 0
	for i := range actual {
		a := &actual[i]
		for j < len(wanted) && wanted[j].Key.Compare(a.Key) < 0 {
			j++
		}
		if j < len(wanted) && wanted[j].Key == a.Key {
			continue
		}
		if owned(a.Key) {
			ops = append(ops, Op{Verb: DeleteService, Service: a.bare()})
		}
	}
	return ops
}

// phase is a pass over the destinations of one service.
type phase uint8

const (
	adding phase = iota
	raising
	lowering
	deleting
)

// diffDestinations makes four passes over both lists: they are short, and
// passes need no memory where sorting the operations would.
func diffDestinations(ops []Op, actual []Destination, w *Service) []Op {
	for p := adding; p <= deleting; p++ {
		i, j := 0, 0
		for i < len(actual) || j < len(w.Destinations) {
			var c int
			switch {
			case i == len(actual):
				c = 1
			case j == len(w.Destinations):
				c = -1
			default:
				c = compareDestinations(&actual[i], &w.Destinations[j])
			}
			switch {
			case c < 0:
				if p == deleting {
					ops = append(ops, Op{Verb: DeleteDestination, Service: w.bare(), Destination: actual[i]})
				}
				i++
			case c > 0:
				if p == adding {
					ops = append(ops, Op{Verb: AddDestination, Service: w.bare(), Destination: w.Destinations[j]})
				}
				j++
			default:
				if a, d := &actual[i], &w.Destinations[j]; p == editPhase(a, d) && !a.SameAttributes(d) {
					ops = append(ops, Op{Verb: EditDestination, Service: w.bare(), Destination: *d, WasDestination: *a})
				}
				i++
				j++
			}
		}
	}
	return ops
}

// editPhase puts edits that take weight away behind all that give it, so that a
// service whose weight moves from one server to another never has none.
func editPhase(from, to *Destination) phase {
	if to.Weight < from.Weight {
		return lowering
	}
	return raising
}

// bare returns the service without its destinations, the form in which
// operations name it.
func (s *Service) bare() Service {
	b := *s
	b.Destinations = nil
	return b
}
