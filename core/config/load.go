package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/BurntSushi/toml"

	"github.com/halo-ha/halo/sdk/schema"
)

// Catalogue knows which plugin provides a type of check or of tracker. The
// daemon's is made of what the plugins say of themselves.
type Catalogue interface {
	// Type returns the plugin that provides the type of that kind called name,
	// and the schema of its settings.
	Type(kind schema.Kind, name string) (plugin string, t schema.Type, ok bool)
	// Types lists the names that Type knows.
	Types(kind schema.Kind) []string
}

// Searcher is implemented by a Catalogue that looks for plugins only when it
// is told where: Search is called once, before any other method, with what
// [global] says.
type Searcher interface {
	Search(dirs []string)
}

// Unseen is the Catalogue of plugins that have not been asked yet: every type
// and every setting of a check or a tracker passes, and so does every
// [plugin.NAME]. It is
// for the start, where the election must not wait for plugins; what it yields
// holds no probe that could run.
type Unseen struct{}

// Type implements Catalogue; it knows nothing.
func (Unseen) Type(schema.Kind, string) (plugin string, t schema.Type, ok bool) {
	return "", schema.Type{}, false
}

// Types implements Catalogue; it knows nothing.
func (Unseen) Types(schema.Kind) []string { return nil }

// unseen tells whether plugins are not to be judged by.
func (r *reader) unseen() bool {
	_, ok := r.catalogue.(Unseen)
	return ok
}

// Load reads the file at path. The Generation is nil exactly when one of the
// Problems is an error; warnings may come with it. All problems of a file are
// reported together, in the order of their places, except that a file which is
// not TOML at all is judged up to the first place where it is not.
//
// A nil catalogue knows no types.
func Load(path string, catalogue Catalogue) (*Generation, Problems) {
	data, mode, problem := readFile(path)
	if problem != nil {
		return nil, Problems{*problem}
	}
	m := thisMachine()
	m.mode = mode
	return parse(path, data, catalogue, m)
}

// Parse is Load for bytes that have been read; file is the name that positions
// carry.
func Parse(file string, data []byte, catalogue Catalogue) (*Generation, Problems) {
	return parse(file, data, catalogue, thisMachine())
}

func parse(file string, data []byte, catalogue Catalogue, m machine) (*Generation, Problems) {
	if problem := checkText(file, data); problem != nil {
		return nil, Problems{*problem}
	}
	src := newSource(file, string(data))
	root, problems := decode(src)
	if problems.HasErrors() {
		return nil, problems.Sorted()
	}
	r := &reader{source: src, catalogue: catalogue, machine: m, problems: problems, origins: map[*Check]origin{}}
	g := r.generation(root)
	sorted := r.problems.Sorted()
	if sorted.HasErrors() {
		return nil, sorted
	}
	return g, sorted
}

// decode turns the text into a tree of values that know their places.
func decode(src *source) (*node, Problems) {
	found := scan(src.text)
	if found.tooDeep >= 0 {
		return nil, Problems{{
			Position: src.position(found.tooDeep),
			Message:  fmt.Sprintf("tables and lists nest deeper than %d levels", maxDepth),
		}}
	}
	values, err := decodeValues(src.text)
	if err == nil && found.again == nil && found.complete && found.root.attach(values) {
		return found.root, nil
	}
	if found.again != nil {
		return nil, Problems{repeated(src, found.again)}
	}
	if err != nil {
		return nil, Problems{syntaxProblem(src, found.root, *err)}
	}
	return nil, Problems{{
		Position: Position{File: src.name},
		Message:  "the file is read as TOML in two ways",
		Expected: "simpler quoting of keys",
	}}
}

// decodeValues asks the TOML library for the values. What it cannot read is a
// *toml.ParseError, even where the library itself gives up by panicking.
func decodeValues(text string) (values map[string]any, failed *toml.ParseError) {
	defer func() {
		if recover() != nil {
			failed = &toml.ParseError{Message: "this is not TOML"}
		}
	}()
	_, err := toml.Decode(text, &values)
	if err == nil {
		return values, nil
	}
	failed = new(toml.ParseError)
	if !errors.As(err, failed) {
		failed.Message = err.Error()
	}
	return nil, failed
}

func repeated(src *source, again *repetition) Problem {
	p := Problem{Position: src.position(again.second), Key: again.path, Expected: "each key once"}
	p.Message = fmt.Sprintf("is written twice, first on line %d", src.line(again.first))
	if again.header {
		p.Expected = "each table once"
	}
	return p
}

// types lists the known types of a kind, sorted.
func (r *reader) types(kind schema.Kind) []string {
	if r.catalogue == nil {
		return nil
	}
	return slices.Sorted(slices.Values(r.catalogue.Types(kind)))
}

// plugins lists the plugins that provide the known types, sorted.
func (r *reader) plugins() []string {
	found := map[string]bool{}
	for _, kind := range []schema.Kind{schema.KindCheck, schema.KindTrack} {
		for _, name := range r.types(kind) {
			if plugin, _, ok := r.catalogue.Type(kind, name); ok {
				found[plugin] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}
