package config

import (
	"slices"
	"strconv"
	"strings"
)

// table reads one TOML table key by key. A key that nobody asked for by the
// time of done is unknown; one that was asked for as required and is absent is
// missing. Both are reported by done, so that a slip in a required key is told
// once, with the right key, and not also as missing.
type table struct {
	reader *reader
	path   string
	name   string // the name that the user chose for this table; "" for others
	node   *node
	hints  map[string]hint
	asked  []string
	bad    []string
	absent []Problem
}

func (r *reader) table(path string, n *node, hints map[string]hint) *table {
	return &table{reader: r, path: path, node: n, hints: hints}
}

// answer is what the file says for one key.
type answer[T any] struct {
	table    *table
	name     string
	value    T
	form     form[T]
	written  bool // the key is there
	readable bool // and its value is right
}

// ask reads one key.
func ask[T any](t *table, name string, f form[T]) answer[T] { return askFor(t, name, f, false) }

// askSecret reads one key whose value no message repeats.
func askSecret[T any](t *table, name string, f form[T]) answer[T] { return askFor(t, name, f, true) }

func askFor[T any](t *table, name string, f form[T], secret bool) answer[T] {
	t.asked = append(t.asked, name)
	a := answer[T]{table: t, name: name, form: f}
	n, ok := t.node.entries[name]
	if !ok {
		return a
	}
	a.written = true
	a.value, a.readable = f.read(value{reader: t.reader, path: join(t.path, name), node: n, secret: secret})
	if !a.readable {
		t.bad = append(t.bad, name)
	}
	return a
}

// or returns the value, or def where there is none that can be used.
func (a answer[T]) or(def T) T {
	a.tell(inFile(def), false)
	if a.readable {
		return a.value
	}
	return def
}

// orMachine is or for a default that depends on the machine, which the list of
// keys therefore does not tell.
func (a answer[T]) orMachine(def T) T {
	a.tell("", false)
	if a.readable {
		return a.value
	}
	return def
}

// optional returns the value, or T's zero value, which means that the key is
// absent.
func (a answer[T]) optional() T {
	a.tell("", false)
	if a.readable {
		return a.value
	}
	var none T
	return none
}

// required returns the value and notes when the key is absent.
func (a answer[T]) required() T {
	a.tell("", true)
	if !a.written {
		a.table.absent = append(a.table.absent, Problem{Key: join(a.table.path, a.name), Message: "is missing", Expected: a.form.expected()})
		a.table.bad = append(a.table.bad, a.name)
	}
	return a.value
}

func (a answer[T]) tell(def string, required bool) {
	if record := a.table.reader.record; record != nil {
		record(Key{Path: join(a.table.path, a.name), Expected: a.form.expected(), Default: def, Required: required})
	}
}

// fine reports whether none of the keys has been found wrong, so that a rule
// about their values may be applied.
func (t *table) fine(names ...string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return slices.Contains(t.bad, name) })
}

// written reports whether the file has the key.
func (t *table) written(name string) bool { return t.node.entries[name] != nil }

// at returns where the value of a key begins, or where the table does when the
// key is absent.
func (t *table) at(name string) int {
	if n, ok := t.node.entries[name]; ok {
		return n.start
	}
	return t.node.key
}

// wrong reports that the value of a key breaks a rule, and spoils the key.
func (t *table) wrong(name, message, expected, suggestion string) {
	t.bad = append(t.bad, name)
	t.reader.report(SeverityError, t.at(name), Problem{Key: join(t.path, name), Message: message, Expected: expected, Suggestion: suggestion})
}

// odd reports that the value of a key is probably not what was wanted.
func (t *table) odd(name, message, expected string) {
	t.reader.report(SeverityWarning, t.at(name), Problem{Key: join(t.path, name), Message: message, Expected: expected})
}

// table returns the table under name, or nil when it is absent or none.
// While keys are recorded it is always there.
func (t *table) table(name string, hints map[string]hint) *table {
	t.asked = append(t.asked, name)
	path := join(t.path, name)
	n, ok := t.node.entries[name]
	switch {
	case t.reader.record != nil:
		return t.reader.table(path, newTable(0), hints)
	case !ok:
		return nil
	case n.shape != dictionary:
		value{reader: t.reader, path: path, node: n}.wrongType("a table "+headerOf(path), "")
		t.bad = append(t.bad, name)
		return nil
	}
	return t.reader.table(path, n, hints)
}

// child returns the table under name; one without keys when it is absent, so
// that its defaults are read.
func (t *table) child(name string, hints map[string]hint) *table {
	if found := t.table(name, hints); found != nil {
		return found
	}
	return t.reader.table(join(t.path, name), newTable(t.node.key), hints)
}

// named returns the tables under name, in the order of the file, each with the
// name that the user chose. While names are recorded there is one, called NAME.
func (t *table) named(name string, hints map[string]hint) []*table {
	t.asked = append(t.asked, name)
	if t.reader.record != nil {
		return []*table{t.reader.namedTable(name, "NAME", newTable(0), hints)}
	}
	n, ok := t.node.entries[name]
	if !ok {
		return nil
	}
	if n.shape != dictionary {
		suggestion := ""
		if n.header {
			suggestion = "[" + name + ".NAME]"
		}
		value{reader: t.reader, path: name, node: n}.wrongType("a table for each: ["+name+".NAME]", suggestion)
		return nil
	}
	found := make([]*table, 0, len(n.names))
	for _, chosen := range n.names {
		child := n.entries[chosen]
		path := join(name, chosen)
		if child.shape != dictionary {
			t.reader.report(SeverityError, child.key, Problem{Key: path, Message: "is a key without a name above it", Expected: "a table for each: [" + name + ".NAME]"})
			continue
		}
		if wrong := names().test(chosen); wrong != "" {
			t.reader.report(SeverityError, child.key, Problem{Key: path, Message: "the name " + quoted(chosen) + " " + wrong, Expected: names().what})
		}
		found = append(found, t.reader.namedTable(name, chosen, child, hints))
	}
	return found
}

func (r *reader) namedTable(kind, chosen string, n *node, hints map[string]hint) *table {
	t := r.table(join(kind, chosen), n, hints)
	t.name = chosen
	return t
}

// tables returns the elements of the list of tables under name. While keys are
// recorded there is one.
func (t *table) tables(name string, hints map[string]hint) []*table {
	t.asked = append(t.asked, name)
	path := join(t.path, name)
	if t.reader.record != nil {
		return []*table{t.reader.table(path+"[]", newTable(0), hints)}
	}
	n, ok := t.node.entries[name]
	if !ok {
		return nil
	}
	expected := "a list of tables: [" + headerOf(path) + "] for each, or " + name + " = [{ ... }]"
	if n.shape != list {
		suggestion := ""
		if n.header {
			suggestion = "[" + headerOf(path) + "]"
		}
		value{reader: t.reader, path: path, node: n}.wrongType(expected, suggestion)
		t.bad = append(t.bad, name)
		return nil
	}
	elements := make([]*table, 0, len(n.items))
	for i, item := range n.items {
		if item.shape != dictionary {
			value{reader: t.reader, path: index(path, i), node: item}.wrongType("a table: "+name+" = [{ ... }]", "")
			t.bad = append(t.bad, name)
			continue
		}
		elements = append(elements, t.reader.table(index(path, i), item, hints))
	}
	return elements
}

// headerOf writes a path as a table's header, without the numbers that list
// elements have in a path.
func headerOf(path string) string {
	var b strings.Builder
	b.WriteByte('[')
	for len(path) > 0 {
		open := strings.IndexByte(path, '[')
		if open < 0 {
			b.WriteString(path)
			break
		}
		b.WriteString(path[:open])
		_, path, _ = strings.Cut(path[open:], "]")
	}
	b.WriteByte(']')
	return b.String()
}

// done reports the keys that are unknown and those that are missing.
func (t *table) done() {
	if t.splitName() {
		return
	}
	var known, meant []string
	for _, name := range t.node.names {
		if slices.Contains(t.asked, name) {
			continue
		}
		if known == nil {
			known = slices.Compact(slices.Sorted(slices.Values(t.asked)))
		}
		if here := t.unknown(name, known); here != "" {
			meant = append(meant, join(t.path, here))
		}
	}
	for _, p := range t.absent {
		if !slices.Contains(meant, p.Key) {
			t.reader.report(SeverityError, t.node.key, p)
		}
	}
}

// unknown reports a key that nobody asked for and returns the known key that
// was meant, or "".
func (t *table) unknown(name string, known []string) string {
	p := Problem{Key: join(t.path, name), Message: "unknown key", Expected: "one of " + strings.Join(known, ", ")}
	if n := t.node.entries[name]; n.header || n.implicit() {
		p.Message = "unknown table"
	}
	h, hinted := t.hints[fold(name)]
	if h.key != "" && !slices.Contains(known, h.key) {
		hinted = false // Another type of check has that key.
	}
	meant := h.key
	if hinted {
		p = h.problem(p)
	} else if meant = closest(name, known); meant != "" {
		p.Suggestion = strconv.Quote(meant)
	}
	t.reader.report(SeverityError, t.node.entries[name].key, p)
	return meant
}

// splitName reports names with dots that were written without quotes, so that
// TOML took [virtual_server.www.example.com] for tables within tables.
func (t *table) splitName() bool {
	if t.name == "" || !t.node.implicit() {
		return false
	}
	for _, child := range t.node.names {
		n := t.node.entries[child]
		if n.shape != dictionary || slices.Contains(t.asked, child) {
			return false
		}
	}
	for _, child := range t.node.names {
		parts, n := []string{t.name, child}, t.node.entries[child]
		for n.implicit() && len(n.names) == 1 && n.entries[n.names[0]].shape == dictionary {
			parts = append(parts, n.names[0])
			n = n.entries[n.names[0]]
		}
		t.reader.report(SeverityError, n.key, Problem{
			Key:        t.path,
			Message:    "a name that holds dots is not in quotes",
			Expected:   "one table for each name",
			Suggestion: "[" + join(strings.TrimSuffix(t.path, "."+join("", t.name)), strings.Join(parts, ".")) + "]",
		})
	}
	return true
}
