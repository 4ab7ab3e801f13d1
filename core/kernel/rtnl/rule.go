package rtnl

import (
	"fmt"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// Rules lists the rules of both families that carry a mark, zero being all, in
// the order in which they are tried.
func (h *Handle) Rules(protocol inet.Protocol) ([]inet.Rule, error) {
	var rules []inet.Rule
	err := h.read(func(s *socket) (err error) {
		rules, err = s.dumpRules(protocol)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list rules: %w", err)
	}
	return rules, nil
}

// PutRules makes rules be there, with halo's mark unless a rule has another. A
// rule of somebody else that is alike stays beside them. Every rule is tried;
// what failed is in an inet.BatchError.
func (h *Handle) PutRules(rules []inet.Rule) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	// The kernel's own notion of what exists already takes a rule with more
	// conditions for the same, so it is not asked.
	present, err := h.Rules(0)
	if err != nil {
		return fmt.Errorf("put rules: %w", err)
	}
	there := make(map[inet.Rule]bool, len(present))
	for _, r := range present {
		there[foundRule(r)] = true
	}
	var requests []request
	var places []int
	for i, r := range rules {
		if !there[wantedRule(r)] {
			there[wantedRule(r)] = true
			requests, places = append(requests, ruleRequest(unix.RTM_NEWRULE, netlink.Create, r)), append(places, i)
		}
	}
	results := make([]error, len(rules))
	for j, err := range h.changes.execute(requests) {
		results[places[j]] = err
	}
	return failures(results, func(i int) string { return fmt.Sprintf("put rule %s", rules[i]) })
}

// DelRules deletes rules that carry the given marks; zero is halo's. What is
// missing counts as deleted, and the rules of others stay. Every rule is tried;
// what failed is in an inet.BatchError.
//
// The kernel deletes the first rule that has all conditions that it is told of,
// be it with more of them. Where that would be another one than was meant,
// DelRules deletes it as well, and adds it again at once.
func (h *Handle) DelRules(rules []inet.Rule) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	present, err := h.Rules(0)
	if err != nil {
		return fmt.Errorf("delete rules: %w", err)
	}
	var requests []request
	var places []int // whose result it is, or -1
	going := make(map[inet.Rule]int)
	for i, r := range rules {
		going[wantedRule(r)] = i
	}
	// Those with more conditions first, so that rules that go together need
	// not be added again.
	present = slices.Clone(present)
	specific := slices.Clone(present)
	slices.SortStableFunc(specific, func(a, b inet.Rule) int { return b.Selectors() - a.Selectors() })
	gone := make(map[inet.Rule]bool)
	var again []inet.Rule
	for _, r := range specific {
		i, ok := going[foundRule(r)]
		if !ok {
			continue
		}
		for _, other := range present {
			if foundRule(other) == foundRule(r) {
				break // Those behind it are not found before it.
			}
			if !gone[foundRule(other)] && foundBy(r, other) {
				gone[foundRule(other)] = true
				again = append(again, other)
				requests, places = append(requests, ruleRequest(unix.RTM_DELRULE, 0, other)), append(places, -1)
			}
		}
		gone[foundRule(r)] = true
		requests, places = append(requests, ruleRequest(unix.RTM_DELRULE, 0, r)), append(places, i)
	}
	for _, r := range again {
		if _, ok := going[foundRule(r)]; !ok {
			requests = append(requests, ruleRequest(unix.RTM_NEWRULE, netlink.Create, r))
			places = append(places, -1)
		}
	}
	results := make([]error, len(rules))
	for j, err := range h.changes.execute(requests) {
		switch i := places[j]; {
		case i >= 0:
			results[i] = err
		case err != nil && !isAny(err, []unix.Errno{unix.ENOENT}):
			results = append(results, err)
		}
	}
	for i, r := range rules {
		if err := r.Check(); err != nil {
			results[i] = err
		}
	}
	return failures(results, func(i int) string {
		if i < len(rules) {
			return fmt.Sprintf("delete rule %s", rules[i])
		}
		return "delete and add again a rule that looks like one that goes"
	}, unix.ENOENT)
}

// wantedRule and foundRule are rules in the form in which they are compared with
// their marks. A rule that was found without a mark is nobody's.
func wantedRule(r inet.Rule) inet.Rule {
	id := r.ID()
	id.Protocol = r.ProtocolOrDefault()
	return id
}

func foundRule(r inet.Rule) inet.Rule {
	id := r.ID()
	id.Protocol = r.Protocol
	return id
}

// foundBy tells whether the kernel would find the other rule when told to
// delete the wanted one: what the wanted one does not say, the other may.
func foundBy(want, other inet.Rule) bool {
	w, o := foundRule(want), foundRule(other)
	w.Not, o.Not, w.Goto, o.Goto = false, false, 0, 0
	zero := inet.Rule{}
	wild(w.From == zero.From, &o.From)
	wild(w.To == zero.To, &o.To)
	wild(w.TOS == 0, &o.TOS)
	wild(w.IIF == "", &o.IIF)
	wild(w.OIF == "", &o.OIF)
	wild(w.Mark == 0, &o.Mark)
	wild(w.Mask == 0, &o.Mask)
	wild(w.TunnelID == 0, &o.TunnelID)
	wild(!w.UIDs.Set, &o.UIDs)
	wild(w.IPProtocol == 0, &o.IPProtocol)
	wild(w.SourcePorts == zero.SourcePorts, &o.SourcePorts)
	wild(w.DestinationPorts == zero.DestinationPorts, &o.DestinationPorts)
	wild(w.Table == 0, &o.Table)
	wild(!w.L3MasterDevice, &o.L3MasterDevice)
	wild(!w.SuppressPrefixLength.Set, &o.SuppressPrefixLength)
	wild(!w.SuppressGroup.Set, &o.SuppressGroup)
	wild(w.Realms == 0, &o.Realms)
	return w == o
}

// wild makes what is not asked for not matter.
func wild[T any](any bool, field *T) {
	if any {
		var zero T
		*field = zero
	}
}
