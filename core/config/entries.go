package config

import (
	"fmt"
	"strings"
)

// entryText is an entry of the kernel's tables in a Difference.
type entryText struct {
	name  string // what tells it apart from the others of its list
	whole string
}

func texts[T fmt.Stringer](list []T, name func(T) string) []entryText {
	all := make([]entryText, 0, len(list))
	for _, e := range list {
		all = append(all, entryText{name(e), e.String()})
	}
	return all
}

func addressName(a Address) string {
	name := a.Prefix.String()
	if a.Interface != "" {
		name += " dev " + a.Interface
	}
	return name
}

// entries compares lists of entries one by one: there may be thousands, of which
// a reload changes two. Their order is the order in which they are put and, of
// addresses, advertised; it is told where nothing else has changed.
func (c *comparison) entries(name string, old, next []entryText) {
	before := make(map[string]string, len(old))
	for _, e := range old {
		before[e.name] = e.whole
	}
	after := make(map[string]bool, len(next))
	found := len(c.found)
	for _, e := range next {
		after[e.name] = true
		path := name + "[" + e.name + "]"
		was, had := before[e.name]
		switch {
		case !had:
			c.add(path, "", present)
		case was != e.whole:
			c.add(path, was, e.whole)
		}
	}
	for _, e := range old {
		if !after[e.name] {
			c.add(name+"["+e.name+"]", present, "")
		}
	}
	if a, b := entryNames(old), entryNames(next); len(c.found) == found && a != b {
		c.add(name, a, b)
	}
}

func entryNames(list []entryText) string {
	names := make([]string, 0, len(list))
	for _, e := range list {
		names = append(names, e.name)
	}
	return strings.Join(names, ", ")
}
