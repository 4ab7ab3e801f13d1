package config

import (
	"strconv"
	"strings"
)

// origin is where a check stands in its file.
type origin struct {
	source *source
	node   *node
	path   string
}

// Problem gives what a plugin says of a check's settings its place in the
// file. attribute is the setting's key with "[2]" or ".name" behind it for an
// element, as in host.Diagnostic; empty means the check as a whole. The result
// is an error: set Severity for a warning. Many servers may share a check:
// Problems.Sorted leaves one of the equal problems that they give.
func (g Generation) Problem(check *Check, attribute, message string) Problem {
	o, known := g.origins[check]
	if !known {
		return Problem{Position: Position{File: g.File}, Key: attributePath("check", attribute), Message: message}
	}
	at, ok := o.node.attribute(attribute)
	if !ok {
		at = o.node.key
	}
	return Problem{Position: o.source.position(at), Key: attributePath(o.path, attribute), Message: message}
}

// Settled is the generation without the places of its checks in the file. They
// hold the file's text and are of no use once the plugins have had their say.
func (g Generation) Settled() *Generation {
	g.origins = nil
	return &g
}

// attributePath appends an attribute, which may begin with "[", to a path.
func attributePath(path, attribute string) string {
	switch {
	case attribute == "":
		return path
	case strings.HasPrefix(attribute, "["):
		return path + attribute
	}
	return path + "." + attribute
}

// attribute returns where the value of an attribute begins, or of as much of
// it as the file has. It reports false when the file has nothing of it.
func (n *node) attribute(attribute string) (int, bool) {
	at, ok := n.key, attribute == ""
	for attribute != "" {
		var next *node
		next, attribute = n.step(attribute)
		if next == nil {
			break
		}
		n, at, ok = next, next.start, true
	}
	return at, ok
}

// step follows the first part of an attribute and returns what is left of it.
func (n *node) step(attribute string) (*node, string) {
	if strings.HasPrefix(attribute, "[") {
		number, rest, _ := strings.Cut(attribute[1:], "]")
		i, err := strconv.Atoi(number)
		if err != nil || i < 0 || i >= len(n.items) {
			return nil, ""
		}
		return n.items[i], strings.TrimPrefix(rest, ".")
	}
	// The keys of a table of strings are free, so the longest that fits is
	// the one that is meant.
	best := ""
	for _, name := range n.names {
		rest, ok := strings.CutPrefix(attribute, name)
		if ok && len(name) >= len(best) && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			best = name
		}
	}
	next, ok := n.entries[best]
	if !ok {
		return nil, ""
	}
	return next, strings.TrimPrefix(attribute[len(best):], ".")
}
