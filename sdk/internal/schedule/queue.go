package schedule

// queue is a heap of probes by the time of their next event: the start of a
// run, or the end of the grace after a deadline. Four children a node, since
// that halves the depth and a probe is moved twice a run; the times stand in
// the heap, so that comparing touches no probe.
//
// It is not container/heap because ten thousand probes a second go through it.
type queue []entry

type entry struct {
	at    int64 // of the probe, as of the last push or fix
	probe *probe
}

func (q *queue) push(p *probe) {
	*q = append(*q, entry{})
	q.up(len(*q)-1, entry{at: p.at, probe: p})
}

// fix restores the order after p.at has changed.
func (q *queue) fix(p *probe) {
	q.place(p.index, entry{at: p.at, probe: p})
}

func (q *queue) remove(p *probe) {
	last := len(*q) - 1
	moved := (*q)[last]
	(*q)[last] = entry{}
	*q = (*q)[:last]
	if p.index < last {
		q.place(p.index, moved)
	}
	p.index = -1
}

// place puts e where the hole at i has to go.
func (q *queue) place(i int, e entry) {
	if i > 0 && e.at < (*q)[(i-1)/4].at {
		q.up(i, e)
		return
	}
	q.down(i, e)
}

func (q *queue) up(i int, e entry) {
	for i > 0 {
		parent := (i - 1) / 4
		if (*q)[parent].at <= e.at {
			break
		}
		q.set(i, (*q)[parent])
		i = parent
	}
	q.set(i, e)
}

func (q *queue) down(i int, e entry) {
	for {
		first := 4*i + 1
		if first >= len(*q) {
			break
		}
		least := first
		for child := first + 1; child < min(first+4, len(*q)); child++ {
			if (*q)[child].at < (*q)[least].at {
				least = child
			}
		}
		if e.at <= (*q)[least].at {
			break
		}
		q.set(i, (*q)[least])
		i = least
	}
	q.set(i, e)
}

func (q *queue) set(i int, e entry) {
	(*q)[i] = e
	e.probe.index = i
}

// countBefore counts the probes whose time is before limit. It looks at those
// and their children only.
func (q *queue) countBefore(limit int64) int { return q.count(0, limit) }

func (q *queue) count(i int, limit int64) int {
	if i >= len(*q) || (*q)[i].at >= limit {
		return 0
	}
	n := 1
	for child := 4*i + 1; child <= 4*i+4; child++ {
		n += q.count(child, limit)
	}
	return n
}
