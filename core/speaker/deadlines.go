package speaker

// deadlines is a queue of routers, the earliest deadline first, for
// container/heap. A router knows its place, so that it can be moved.
type deadlines []*router

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
	r := x.(*router)
	r.index = len(*d)
	*d = append(*d, r)
}

// Pop implements heap.Interface.
func (d *deadlines) Pop() any {
	last := len(*d) - 1
	r := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	r.index = -1
	return r
}
