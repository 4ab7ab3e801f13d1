package schedule

// queue is a heap of probes by the time of their next event: the start of a
// run, or the end of the grace after a deadline. Four children a node, since
// that halves the depth and a probe is moved twice a run.
//
// It is not container/heap because ten thousand probes a second go through it.
type queue []*probe

func (q *queue) push(p *probe) {
	*q = append(*q, p)
	p.index = len(*q) - 1
	q.up(p.index)
}

// fix restores the order after p.at has changed.
func (q *queue) fix(p *probe) {
	if !q.down(p.index) {
		q.up(p.index)
	}
}

func (q *queue) remove(p *probe) {
	last := len(*q) - 1
	i := p.index
	q.swap(i, last)
	(*q)[last] = nil
	*q = (*q)[:last]
	if i < last {
		q.fix((*q)[i])
	}
	p.index = -1
}

func (q *queue) up(i int) {
	for i > 0 {
		parent := (i - 1) / 4
		if (*q)[parent].at <= (*q)[i].at {
			return
		}
		q.swap(i, parent)
		i = parent
	}
}

func (q *queue) down(i int) (moved bool) {
	for {
		first := 4*i + 1
		if first >= len(*q) {
			return moved
		}
		least := first
		for child := first + 1; child < min(first+4, len(*q)); child++ {
			if (*q)[child].at < (*q)[least].at {
				least = child
			}
		}
		if (*q)[i].at <= (*q)[least].at {
			return moved
		}
		q.swap(i, least)
		i, moved = least, true
	}
}

func (q *queue) swap(i, j int) {
	(*q)[i], (*q)[j] = (*q)[j], (*q)[i]
	(*q)[i].index, (*q)[j].index = i, j
}

// countBefore counts the probes whose time is before limit. It looks at those
// and their children only.
func (q queue) countBefore(limit int64) int { return q.count(0, limit) }

func (q queue) count(i int, limit int64) int {
	if i >= len(q) || q[i].at >= limit {
		return 0
	}
	n := 1
	for child := 4*i + 1; child <= 4*i+4; child++ {
		n += q.count(child, limit)
	}
	return n
}
