package netloop

// deadlines is a binary heap of attempt slots, earliest deadline first. It is
// written out, rather than using container/heap, because that boxes every
// element it moves.
type deadlines []int32

// add puts slot, whose deadline is set, into the heap.
func (d *deadlines) add(attempts []attempt, slot int32) {
	*d = append(*d, slot)
	d.up(attempts, int32(len(*d)-1))
}

// remove takes the element at place out of the heap.
func (d *deadlines) remove(attempts []attempt, place int32) {
	last := int32(len(*d) - 1)
	moved := (*d)[last]
	*d = (*d)[:last]
	if place == last {
		return
	}
	d.put(attempts, place, moved)
	d.down(attempts, place)
	d.up(attempts, attempts[moved].place)
}

func (d *deadlines) put(attempts []attempt, place, slot int32) {
	(*d)[place] = slot
	attempts[slot].place = place
}

func (d *deadlines) up(attempts []attempt, place int32) {
	slot := (*d)[place]
	for place > 0 {
		parent := (place - 1) / 2
		if attempts[(*d)[parent]].deadline <= attempts[slot].deadline {
			break
		}
		d.put(attempts, place, (*d)[parent])
		place = parent
	}
	d.put(attempts, place, slot)
}

func (d *deadlines) down(attempts []attempt, place int32) {
	slot := (*d)[place]
	for {
		child := 2*place + 1
		if child >= int32(len(*d)) {
			break
		}
		if other := child + 1; other < int32(len(*d)) &&
			attempts[(*d)[other]].deadline < attempts[(*d)[child]].deadline {
			child = other
		}
		if attempts[slot].deadline <= attempts[(*d)[child]].deadline {
			break
		}
		d.put(attempts, place, (*d)[child])
		place = child
	}
	d.put(attempts, place, slot)
}
