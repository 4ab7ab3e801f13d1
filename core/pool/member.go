package pool

import (
	"time"

	"github.com/halo-ha/halo/core/ipvs"
)

// member is the state of one real server.
type member struct {
	config RealServer
	checks []check
	// admitted says that the server counts and, unless the sorry server stands
	// in, serves.
	admitted bool
	// adopted holds the weight found in the kernel until the checks have
	// decided; nil after that and for everybody else.
	adopted *int

	// why is the reason of the last conclusion; fresh says that it has not been
	// reported yet.
	why   Why
	fresh bool

	// The last that was reported, and when that was.
	state     State
	inService bool
	since     time.Time
}

// standing is everything about a member that the table and its reports depend on.
type standing struct {
	admitted bool
	weight   int
	state    State
}

func (m *member) standing() standing {
	return standing{m.admitted, m.weight(), m.decided()}
}

func newMember(now time.Time, c RealServer) *member {
	m := &member{config: c, since: now, why: Why{Reason: ReasonNotProven}, fresh: true}
	for _, k := range c.Checks {
		m.checks = append(m.checks, check{config: k})
	}
	if len(c.Checks) == 0 {
		m.admitted = true
		m.why.Reason = ReasonNoChecks
	}
	return m
}

// result hands a result to the check it is about, and reports whether there is one.
func (m *member) result(e *CheckResult) bool {
	c := m.check(e.Check)
	if c == nil || e.Definition != "" && e.Definition != c.config.Definition {
		return false
	}
	c.result(e)
	return true
}

// lose notes that a check's plugin is away, and reports whether that has a
// deadline. It changes nothing by itself.
func (m *member) lose(now time.Time, e *PluginLost) bool {
	c := m.check(e.Check)
	if c == nil {
		return false
	}
	if c.lost.IsZero() {
		c.lost = now
	}
	_, ok := c.deadline()
	return ok
}

func (m *member) adopt(weight int) {
	if m.admitted || m.decided() != Unknown {
		return
	}
	// Weight 0 under quiesce is how a failed server looks: it stays out, which
	// leaves it in the table as it is. Under remove nobody failed who is there.
	if weight == 0 && m.config.OnFailure == Quiesce && m.config.Weight != 0 {
		return
	}
	m.admitted = true
	m.adopted = &weight
	m.why, m.fresh = Why{Reason: ReasonAdopted}, true
}

// evaluate draws the conclusion from the verdicts: one Down is enough to be out,
// all Up are needed to come in, and anything between changes nothing. It
// returns the reason for what changed, or otherwise.
func (m *member) evaluate(otherwise Reason) Reason {
	var admitted bool
	var why Why
	state := m.decided()
	switch state {
	case Unknown:
		return otherwise
	case Down:
		admitted, why = false, m.failure()
	case Up:
		admitted, why.Reason = true, ReasonChecksPassed
		switch {
		case len(m.checks) == 0:
			why.Reason = ReasonNoChecksLeft
		case otherwise == ReasonReconfigured && m.admitted:
			why.Reason = ReasonReconfigured
		case otherwise == ReasonReconfigured:
			why.Reason = ReasonCheckRemoved
		}
	}
	m.adopted = nil
	if admitted == m.admitted && state == m.state {
		return otherwise
	}
	m.admitted = admitted
	m.why, m.fresh = why, true
	return why.Reason
}

// decided is the server's state by its checks' verdicts.
func (m *member) decided() State {
	s := Up
	for i := range m.checks {
		switch m.checks[i].verdict {
		case Down:
			return Down
		case Unknown:
			s = Unknown
		case Up:
		}
	}
	return s
}

// failure says why a member is down: the first of its checks that is.
func (m *member) failure() Why {
	for i := range m.checks {
		switch c := &m.checks[i]; {
		case c.expired:
			return c.why(ReasonPluginLost)
		case c.verdict == Down:
			return c.why(ReasonCheckFailed)
		}
	}
	return Why{}
}

// weight is the effective weight: the configured one, and for every check that
// asked for another the difference between the two. Always computed from what
// was last asked, and within what the kernel takes.
func (m *member) weight() int {
	if m.adopted != nil {
		return *m.adopted
	}
	w := m.config.Weight
	for i := range m.checks {
		if c := &m.checks[i]; c.weighted {
			w += c.weight - m.config.Weight
		}
	}
	return min(max(w, 0), ipvs.MaxWeight)
}

func (m *member) check(name string) *check {
	for i := range m.checks {
		if m.checks[i].config.Name == name {
			return &m.checks[i]
		}
	}
	return nil
}
