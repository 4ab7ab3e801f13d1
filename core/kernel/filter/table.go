package filter

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Table is halo's table in the kernel. It may be used by many goroutines.
type Table struct{ mu sync.Mutex }

// New makes a Table. Nothing happens before Apply.
func New() *Table { return &Table{} }

// Apply makes the rules those that are wanted, and tells whether anything had to
// be changed. With nothing wanted the table goes. A table of that name without
// halo's mark is an error that wraps EEXIST.
func (t *Table) Apply(w Wanted) (changed bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	changed, err = apply(rulesetOf(w))
	if err != nil {
		return false, fmt.Errorf("set up packet filter: table inet %s: %w", TableName, explain(err))
	}
	return changed, nil
}

func apply(wanted ruleset) (changed bool, err error) {
	// Its sockets are opened for each request, so none is kept open.
	c, err := nftables.New()
	if err != nil {
		return false, err
	}
	want, err := wanted.seen()
	if err != nil {
		return false, err
	}
	have, found, err := look(c)
	switch {
	case err != nil:
		return false, err
	case found && !have.own():
		return false, fmt.Errorf("%w: none of its rules is halo's; rename it", unix.EEXIST)
	case !found && len(wanted.chains) == 0, found && reflect.DeepEqual(have, want):
		return false, nil
	}
	if found {
		c.DelTable(&nftables.Table{Name: TableName, Family: nftables.TableFamilyINet})
	}
	if len(wanted.chains) > 0 {
		if err := wanted.add(c); err != nil {
			return false, err
		}
	}
	// One transaction: it is done as a whole, or not at all.
	return true, c.Flush()
}

// seen is a table as it can be compared.
type seen struct {
	chains map[string]string   // how each is hooked
	rules  map[string][][]byte // the remarks in each, in order
	sets   map[string][]string // the keys in each, in ascending order
}

func newSeen() seen {
	return seen{map[string]string{}, map[string][][]byte{}, map[string][]string{}}
}

// seen is what will be there when a ruleset has been made.
func (r ruleset) seen() (seen, error) {
	s := newSeen()
	for _, set := range r.sets {
		s.sets[set.name] = keys(set.keys)
	}
	for _, k := range r.chains {
		policy := nftables.ChainPolicyAccept
		s.chains[k.name] = hooked(nftables.ChainTypeFilter, &k.hook, &k.priority, &policy)
		for _, rule := range k.rules {
			remark, err := rule.remark()
			if err != nil {
				return s, err
			}
			s.rules[k.name] = append(s.rules[k.name], remark)
		}
	}
	return s, nil
}

// own tells whether halo made the table: one of its rules says so. Of one that
// was emptied the chains have to.
func (s seen) own() bool {
	for _, rules := range s.rules {
		if slices.ContainsFunc(rules, func(remark []byte) bool { return bytes.Contains(remark, []byte(mark)) }) {
			return true
		}
	}
	if len(s.rules) > 0 {
		return false
	}
	for name := range s.chains {
		if name != reportsChain && name != closedChain {
			return false
		}
	}
	return true
}

// look reads what there is of a table.
func look(c *nftables.Conn) (s seen, found bool, err error) {
	s = newSeen()
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return s, false, err
	}
	i := slices.IndexFunc(tables, func(t *nftables.Table) bool { return t.Name == TableName })
	if i < 0 {
		return s, false, nil
	}
	table := tables[i]
	chains, err := c.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return s, true, err
	}
	for _, k := range chains {
		if k.Table.Name != TableName {
			continue
		}
		s.chains[k.Name] = hooked(k.Type, k.Hooknum, k.Priority, k.Policy)
		rules, err := c.GetRules(table, k)
		if err != nil {
			return s, true, err
		}
		for _, r := range rules {
			s.rules[k.Name] = append(s.rules[k.Name], r.UserData)
		}
	}
	sets, err := c.GetSets(table)
	if err != nil {
		return s, true, err
	}
	for _, set := range sets {
		elements, err := c.GetSetElements(set)
		if err != nil {
			return s, true, err
		}
		found := make([][]byte, len(elements))
		for i, e := range elements {
			found[i] = e.Key
		}
		s.sets[set.Name] = keys(found)
	}
	return s, true, nil
}

func keys(list [][]byte) []string {
	all := make([]string, len(list))
	for i, key := range list {
		all[i] = string(key)
	}
	slices.Sort(all)
	return all
}

func hooked(kind nftables.ChainType, hook *nftables.ChainHook, priority *nftables.ChainPriority, policy *nftables.ChainPolicy) string {
	if hook == nil || priority == nil || policy == nil {
		return "not hooked"
	}
	return fmt.Sprintf("%s hook %d priority %d policy %d", kind, *hook, *priority, *policy)
}

// explain says what to do about an error.
func explain(err error) error {
	for _, known := range []struct {
		is     []error
		remedy string
	}{
		{
			[]error{unix.EPERM, unix.EACCES},
			"it needs the capability CAP_NET_ADMIN; run as root, or grant it with AmbientCapabilities=CAP_NET_ADMIN in the systemd unit",
		},
		{
			// How a kernel says so depends on which part of it is missing.
			[]error{unix.EINVAL, unix.EOPNOTSUPP, unix.EPROTONOSUPPORT, unix.EAFNOSUPPORT, unix.ENOENT},
			"the kernel lacks a part of nftables; load it with `modprobe nf_tables`, or run a kernel with CONFIG_NF_TABLES_INET",
		},
	} {
		for _, number := range known.is {
			if errors.Is(err, number) {
				return fmt.Errorf("%w: %s", err, known.remedy)
			}
		}
	}
	return err
}
