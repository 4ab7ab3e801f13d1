package bfdspeaker

// deadlines is a queue of sessions, the earliest deadline first, for
// container/heap. A session knows its place, so that it can be moved.
type deadlines []*session

// Len implements heap.Interface.
func (d *deadlines) Len() int { return len(*d) }

// Less implements heap.Interface.
func (d *deadlines) Less(i, j int) bool { return (*d)[i].deadline.Before((*d)[j].deadline) }

// Swap implements heap.Interface.
func (d *deadlines) Swap(i, j int) {
	q := *d
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push implements heap.Interface.
func (d *deadlines) Push(x any) {
	s := x.(*session)
	s.index = len(*d)
	*d = append(*d, s)
}

// Pop implements heap.Interface.
func (d *deadlines) Pop() any {
	last := len(*d) - 1
	s := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	s.index = -1
	return s
}
