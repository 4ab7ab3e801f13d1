package daemon

import (
	"context"
	"log/slog"

	"github.com/halo-ha/halo/core/config"
	"github.com/halo-ha/halo/core/pluginhost"
	"github.com/halo-ha/halo/sdk/schema"
)

// catalogue knows the types of the plugins that are installed. It
// implements config.Catalogue and config.Searcher.
type catalogue struct {
	// discover finds the plugins of dirs.
	discover func(dirs []string) ([]pluginhost.Installed, error)

	types     map[word]provided
	installed []pluginhost.Installed
	// err is why plugins could not be looked for.
	err error
}

// word is a type's name; each kind has words of its own.
type word struct {
	kind schema.Kind
	name string
}

// provided is a type and who provides it.
type provided struct {
	plugin string
	schema schema.Type
}

// Search implements config.Searcher.
func (c *catalogue) Search(dirs []string) {
	c.types = make(map[word]provided)
	c.installed, c.err = c.discover(dirs)
	for _, in := range c.installed {
		if in.Problem != nil {
			continue
		}
		for _, t := range in.Description.Types {
			key := word{t.Kind, t.Name}
			if _, taken := c.types[key]; !taken {
				c.types[key] = provided{in.Name, t}
			}
		}
	}
}

// Type implements config.Catalogue.
func (c *catalogue) Type(kind schema.Kind, name string) (plugin string, t schema.Type, ok bool) {
	p, ok := c.types[word{kind, name}]
	return p.plugin, p.schema, ok
}

// Types implements config.Catalogue.
func (c *catalogue) Types(kind schema.Kind) []string {
	var names []string
	for key := range c.types {
		if key.kind == kind {
			names = append(names, key.name)
		}
	}
	return names
}

// problems says which plugins cannot be used and why, for a file that is
// refused perhaps because of that.
func (c *catalogue) problems(file string) config.Problems {
	var list config.Problems
	note := func(message string) {
		list = append(list, config.Problem{Severity: config.SeverityWarning, Position: config.Position{File: file}, Message: message})
	}
	if c.err != nil {
		note(c.err.Error())
	}
	for _, in := range c.installed {
		if in.Problem != nil {
			note(in.Problem.Error())
		}
	}
	return list
}

// temporary is a host for asking plugins something before, or without, a
// daemon: it runs none for longer than the question takes.
func temporary(dirs []string, user string, logger *slog.Logger) (*pluginhost.Host, error) {
	return pluginhost.Open(pluginhost.Config{Dirs: dirs, User: user, Logger: logger})
}

// discoverAlone is catalogue.discover without a daemon. The plugins describe
// themselves as the account that needs nothing.
func discoverAlone(ctx context.Context, logger *slog.Logger) func(dirs []string) ([]pluginhost.Installed, error) {
	return func(dirs []string) ([]pluginhost.Installed, error) {
		h, err := temporary(dirs, describeUser, logger)
		if err != nil {
			return nil, err
		}
		defer func() { _ = h.Close(ctx) }()
		return h.Discover(ctx, nil)
	}
}

// describeUser is who plugins describe themselves as before the configuration
// has been read and can name somebody.
const describeUser = "nobody"
