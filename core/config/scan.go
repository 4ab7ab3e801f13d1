package config

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// The TOML library decodes values and says nothing about where their keys
// stand, except in its own errors. The scanner here walks the same text for
// the places alone: it follows TOML's structure (keys, headers, strings,
// lists, tables) and does not judge scalars. On text that is not TOML it stops
// early; the library then says why, and the scanner is not asked.

// maxDepth bounds how deep tables and lists may nest, and with it the depth of
// every recursion over a file. halo.toml needs six levels.
const maxDepth = 32

// outline is what scan found out.
type outline struct {
	root *node
	// complete says that the scanner reached the end of the text.
	complete bool
	// tooDeep is the offset of the first value nested deeper than maxDepth, or -1.
	tooDeep int
	// again is the first key that was given a second time, or nil.
	again *repetition
}

// repetition is a key given twice.
type repetition struct {
	path          string
	first, second int // offsets of the key
	header        bool
}

// scan finds the place of every key and value in text.
func scan(text string) outline {
	s := &scanner{text: text, outline: outline{root: newTable(0), tooDeep: -1}}
	s.complete = s.file()
	return s.outline
}

type scanner struct {
	outline
	text string
	at   int
}

// part is one part of a dotted key.
type part struct {
	name string
	at   int
}

// file scans the whole text and reports whether it came to its end.
func (s *scanner) file() bool {
	table, path, depth := s.root, "", 0
	for {
		s.skipLines()
		switch {
		case s.at == len(s.text):
			return true
		case s.text[s.at] == '[':
			var ok bool
			if table, path, depth, ok = s.header(); !ok {
				return false
			}
		default:
			if !s.assignment(table, path, depth) {
				return false
			}
		}
		s.skipBlanks()
		if s.at < len(s.text) && !s.take("\n") && !s.take("\r\n") && s.text[s.at] != '#' {
			return false
		}
	}
}

// header scans [a.b] or [[a.b]] and returns the table that it opens.
func (s *scanner) header() (table *node, path string, depth int, ok bool) {
	double := s.take("[[")
	if !double {
		s.take("[")
	}
	s.skipBlanks()
	parts, ok := s.key()
	if !ok || s.exceeds(len(parts), parts) {
		return nil, "", 0, false
	}
	s.skipBlanks()
	if closed := double && s.take("]]") || !double && s.take("]"); !closed {
		return nil, "", 0, false
	}
	table = s.root
	for _, p := range parts[:len(parts)-1] {
		table, path = s.descend(table, path, p, true)
	}
	last := parts[len(parts)-1]
	if double {
		table, path = s.element(table, path, last)
	} else {
		table, path = s.open(table, path, last)
	}
	return table, path, len(parts), true
}

// descend enters the table called p, making it if a longer key is the first
// to name it. For a header that is the newest one in a list of tables.
func (s *scanner) descend(table *node, path string, p part, header bool) (*node, string) {
	path = join(path, p.name)
	child, ok := table.entries[p.name]
	switch {
	case !ok:
		child = newTable(p.at)
		table.put(p.name, child)
	case child.shape == list && child.header && header:
		path = index(path, len(child.items)-1)
		child = child.items[len(child.items)-1]
	case child.shape != dictionary:
		s.repeated(path, child, p, header)
		return newTable(p.at), path // A stray table, so that scanning goes on.
	}
	return child, path
}

// open enters the table of a [header].
func (s *scanner) open(table *node, path string, p part) (*node, string) {
	path = join(path, p.name)
	child, ok := table.entries[p.name]
	switch {
	case !ok:
		child = newTable(p.at)
		table.put(p.name, child)
	case child.shape != dictionary || child.opened:
		s.repeated(path, child, p, true)
		return newTable(p.at), path
	}
	child.key, child.start, child.end = p.at, p.at, p.at+len(p.name)
	child.header, child.opened = true, true
	return child, path
}

// element adds a table to the list of a [[header]].
func (s *scanner) element(table *node, path string, p part) (*node, string) {
	path = join(path, p.name)
	child, ok := table.entries[p.name]
	switch {
	case !ok:
		child = &node{shape: list, key: p.at, start: p.at, end: p.at, header: true}
		table.put(p.name, child)
	case child.shape != list || !child.header:
		s.repeated(path, child, p, true)
		return newTable(p.at), path
	}
	item := newTable(p.at)
	item.header, item.opened = true, true
	child.items = append(child.items, item)
	return item, index(path, len(child.items)-1)
}

// assignment scans key = value into table.
func (s *scanner) assignment(table *node, path string, depth int) bool {
	parts, ok := s.key()
	if !ok || s.exceeds(depth+len(parts), parts) {
		return false
	}
	s.skipBlanks()
	if !s.take("=") {
		return false
	}
	s.skipBlanks()
	for _, p := range parts[:len(parts)-1] {
		table, path = s.descend(table, path, p, false)
	}
	last := parts[len(parts)-1]
	path = join(path, last.name)
	value, ok := s.value(path, depth+len(parts))
	if !ok {
		return false
	}
	value.key = last.at
	if old := table.put(last.name, value); old != nil {
		s.repeated(path, old, last, false)
	}
	return true
}

func (s *scanner) repeated(path string, old *node, p part, header bool) {
	if s.again == nil {
		s.again = &repetition{path: path, first: old.key, second: p.at, header: header}
	}
}

func (s *scanner) exceeds(depth int, parts []part) bool {
	if depth <= maxDepth {
		return false
	}
	s.tooDeep = parts[0].at
	return true
}

// key scans a dotted key.
func (s *scanner) key() ([]part, bool) {
	parts := make([]part, 0, 3)
	for {
		p, ok := s.simpleKey()
		if !ok {
			return nil, false
		}
		parts = append(parts, p)
		mark := s.at
		s.skipBlanks()
		if !s.take(".") {
			s.at = mark
			return parts, true
		}
		s.skipBlanks()
	}
}

func (s *scanner) simpleKey() (part, bool) {
	begin := s.at
	switch {
	case strings.HasPrefix(s.text[s.at:], `"""`), strings.HasPrefix(s.text[s.at:], `'''`):
		return part{}, false // Multi-line strings are no keys.
	case s.take(`"`):
		if !s.skipString('"') {
			return part{}, false
		}
		return part{unescape(s.text[begin+1 : s.at-1]), begin}, true
	case s.take(`'`):
		if !s.skipString('\'') {
			return part{}, false
		}
		return part{s.text[begin+1 : s.at-1], begin}, true
	}
	for s.at < len(s.text) && isBareKey(s.text[s.at]) {
		s.at++
	}
	return part{s.text[begin:s.at], begin}, s.at > begin
}

// value scans the value of the key at path.
func (s *scanner) value(path string, depth int) (*node, bool) {
	begin := s.at
	if depth > maxDepth {
		s.tooDeep = begin
		return nil, false
	}
	n := &node{key: begin, start: begin}
	var ok bool
	switch {
	case s.take(`"""`):
		ok = s.skipLongString('"')
	case s.take(`'''`):
		ok = s.skipLongString('\'')
	case s.take(`"`):
		ok = s.skipString('"')
	case s.take(`'`):
		ok = s.skipString('\'')
	case s.take("["):
		n.shape = list
		n.items, ok = s.items(path, depth)
	case s.take("{"):
		n.shape, n.entries = dictionary, map[string]*node{}
		ok = s.inlineTable(n, path, depth)
	default:
		ok = s.skipScalar()
	}
	n.end = s.at
	return n, ok
}

// items scans the elements of a list up to and with its bracket.
func (s *scanner) items(path string, depth int) ([]*node, bool) {
	var items []*node
	for {
		s.skipLines()
		if s.take("]") {
			return items, true
		}
		item, ok := s.value(index(path, len(items)), depth+1)
		if !ok {
			return nil, false
		}
		items = append(items, item)
		s.skipLines()
		if !s.take(",") && !(s.at < len(s.text) && s.text[s.at] == ']') {
			return nil, false
		}
	}
}

// inlineTable scans the keys of { ... } up to and with its brace.
func (s *scanner) inlineTable(table *node, path string, depth int) bool {
	for {
		s.skipLines()
		if s.take("}") {
			return true
		}
		if !s.assignment(table, path, depth) {
			return false
		}
		s.skipLines()
		if !s.take(",") && !(s.at < len(s.text) && s.text[s.at] == '}') {
			return false
		}
	}
}

// skipScalar passes over a number, boolean or date. Those hold none of the
// characters that end one; a date may hold a blank.
func (s *scanner) skipScalar() bool {
	begin := s.at
	for s.at < len(s.text) && strings.IndexByte(",]}#\n", s.text[s.at]) < 0 {
		s.at++
	}
	s.at = begin + len(strings.TrimRight(s.text[begin:s.at], " \t\r"))
	return s.at > begin
}

// skipString passes over a string on one line, up to and with its quote.
func (s *scanner) skipString(quote byte) bool {
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == quote:
			s.at++
			return true
		case c == '\n':
			return false
		case c == '\\' && quote == '"':
			s.at++
		}
	}
	s.at = len(s.text)
	return false
}

// skipLongString passes over a string in three quotes. Up to two more quotes
// before the last three belong to the string.
func (s *scanner) skipLongString(quote byte) bool {
	end := strings.Repeat(string(quote), 3)
	for ; s.at < len(s.text); s.at++ {
		switch {
		case strings.HasPrefix(s.text[s.at:], end):
			s.at += len(end)
			for range 2 {
				s.take(string(quote))
			}
			return true
		case s.text[s.at] == '\\' && quote == '"':
			s.at++
		}
	}
	s.at = len(s.text)
	return false
}

// take passes over word if it stands here.
func (s *scanner) take(word string) bool {
	if !strings.HasPrefix(s.text[s.at:], word) {
		return false
	}
	s.at += len(word)
	return true
}

func (s *scanner) skipBlanks() {
	for s.at < len(s.text) && (s.text[s.at] == ' ' || s.text[s.at] == '\t') {
		s.at++
	}
}

// skipLines passes over blanks, line ends and comments.
func (s *scanner) skipLines() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		case '#':
			end := strings.IndexByte(s.text[s.at:], '\n')
			if end < 0 {
				end = len(s.text) - s.at
			}
			s.at += end
		default:
			return
		}
	}
}

func isBareKey(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// unescape resolves the escapes of a key in double quotes. A wrong escape is
// kept as it stands, for the library refuses it.
func unescape(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		i++
		if digits := strings.IndexByte("xuU", text[i]); digits >= 0 {
			width := 2 << digits
			if r, ok := hexRune(text[i+1:], width); ok {
				b.WriteRune(r)
				i += width
				continue
			}
		}
		if plain := strings.IndexByte(`btnfre"\`, text[i]); plain >= 0 {
			b.WriteByte("\b\t\n\f\r\x1b\"\\"[plain])
			continue
		}
		b.WriteByte('\\')
		b.WriteByte(text[i])
	}
	return b.String()
}

func hexRune(text string, width int) (rune, bool) {
	if len(text) < width {
		return 0, false
	}
	code, err := strconv.ParseUint(text[:width], 16, 32)
	return rune(code), err == nil && code <= utf8.MaxRune
}
