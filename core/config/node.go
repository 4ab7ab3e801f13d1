package config

import (
	"strings"
	"unique"
)

// shape is what a node is.
type shape uint8

const (
	scalar shape = iota // a string, number, boolean or date
	list
	dictionary
)

// node is one value of a TOML file with the places of its parts, as byte
// offsets. scan builds the tree with places only; attach puts the values in.
type node struct {
	shape shape
	// key is where the last part of its key begins; for an element of a list,
	// which has no key, where the value begins.
	key int
	// start and end are where the value begins and ends. A table written with
	// a header begins at the header's last part and ends with it; a table that
	// exists only through longer keys has the place of the first of those.
	start, end int

	value any // a scalar's: string, int64, float64, bool or time.Time

	names   []string // a table's keys in file order
	entries map[string]*node
	items   []*node // a list's elements

	// header tells a table or list that was written as [name] or [[name]] from
	// one written as a value; opened a table that has had its own header.
	header, opened bool
}

func newTable(at int) *node {
	return &node{shape: dictionary, key: at, start: at, end: at, entries: map[string]*node{}}
}

// implicit reports whether a table exists only through longer keys.
func (n *node) implicit() bool { return n.shape == dictionary && !n.header && n.start == n.end }

// put adds child under name and returns what stood there before, or nil.
func (n *node) put(name string, child *node) *node {
	name = unique.Make(name).Value()
	old, ok := n.entries[name]
	if !ok {
		n.names = append(n.names, name)
	}
	n.entries[name] = child
	return old
}

// attach puts what the TOML library decoded into the tree. It reports false
// where the two disagree about the shape, which would make places lie.
func (n *node) attach(decoded any) bool {
	switch v := decoded.(type) {
	case map[string]any:
		if n.shape != dictionary || len(v) != len(n.entries) {
			return false
		}
		for name, child := range n.entries {
			value, ok := v[name]
			if !ok || !child.attach(value) {
				return false
			}
		}
		return true
	case []map[string]any:
		return attachItems(n, v)
	case []any:
		return attachItems(n, v)
	case string:
		// Not a piece of the file's text, which it would keep in memory.
		n.value = strings.Clone(v)
		return n.shape == scalar
	default:
		n.value = decoded
		return n.shape == scalar
	}
}

func attachItems[T any](n *node, values []T) bool {
	if n.shape != list || len(values) != len(n.items) {
		return false
	}
	for i, item := range n.items {
		if !item.attach(values[i]) {
			return false
		}
	}
	return true
}

// innermost returns the smallest scalar whose value spans offset with the path
// of its key, or nil.
func (n *node) innermost(offset int, path string) (*node, string) {
	switch n.shape {
	case dictionary:
		for _, name := range n.names {
			if found, at := n.entries[name].innermost(offset, join(path, name)); found != nil {
				return found, at
			}
		}
	case list:
		for i, item := range n.items {
			if found, at := item.innermost(offset, index(path, i)); found != nil {
				return found, at
			}
		}
	case scalar:
		if n.start <= offset && offset <= n.end {
			return n, path
		}
	}
	return nil, ""
}
