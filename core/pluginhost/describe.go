package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/sdk/schema"
)

// Limits of one "NAME describe".
const (
	describeTimeout  = 10 * time.Second
	describeOutput   = 1 << 20 // bytes
	describeParallel = 4
)

// Installed is a plugin binary that was found, whether it can be used or not.
type Installed struct {
	Name string
	// Path is where it was found, Target the file behind it, free of links;
	// Target is empty when the path was refused.
	Path, Target string
	// Shadows lists files of the same name in later plugin directories, which
	// are not used.
	Shadows []string
	// Description is what the plugin says of itself; zero when Problem is set.
	Description schema.Plugin
	// Problem says why the plugin cannot be used; nil means that it can. It is
	// an *UntrustedError, an *IncompatibleError, or something that went wrong.
	Problem error
}

// describer runs "NAME describe" and remembers the answer for as long as the
// file stays the same.
type describer struct {
	spawner *spawner
	owners  owners
	// protocols are the versions this halo speaks.
	protocols []int

	guard sync.Mutex
	known map[string]described
}

type described struct {
	stamp       stamp
	description schema.Plugin
}

// all describes every plugin in dirs, in parallel. pins maps plugin names to
// SHA-256 sums: a pinned file with another content is not even asked.
func (d *describer) all(ctx context.Context, dirs []string, account account, pins map[string]string) ([]Installed, error) {
	plugins, err := find(dirs)
	installed := make([]Installed, len(plugins))
	var group errgroup.Group
	group.SetLimit(describeParallel)
	for i, f := range plugins {
		group.Go(func() error {
			installed[i] = d.one(ctx, f, account, pins[f.name])
			return nil
		})
	}
	_ = group.Wait()
	d.forget(installed)
	return installed, err
}

// one describes one plugin.
func (d *describer) one(ctx context.Context, f found, account account, pin string) Installed {
	in := Installed{Name: f.name, Path: f.path, Shadows: f.shadows}
	p, err := openProgram(f.path, pin, d.owners)
	if err != nil {
		in.Problem = err
		return in
	}
	defer p.close()
	in.Target = p.target
	d.guard.Lock()
	known, ok := d.known[f.path]
	d.guard.Unlock()
	if !ok || known.stamp != p.stamp {
		output, err := d.run(ctx, p, account)
		if err != nil {
			in.Problem = fmt.Errorf("describe plugin %s: %w", f.path, err)
			return in
		}
		description, err := parseDescription(f.name, f.path, output, d.protocols)
		if err != nil {
			in.Problem = err
			return in
		}
		known = described{stamp: p.stamp, description: description}
		d.guard.Lock()
		d.known[f.path] = known
		d.guard.Unlock()
	}
	in.Description = known.description
	return in
}

// run executes the program with an empty environment and no handshake.
func (d *describer) run(ctx context.Context, p *program, account account) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, describeTimeout, fmt.Errorf("no answer within %s", describeTimeout))
	defer cancel()
	k, err := d.spawner.start(command{program: p, arguments: []string{"describe"}, account: account})
	if err != nil {
		return nil, err
	}
	defer closeAll(k.stdout, k.stderr)
	end := func() {
		k.signal(unix.SIGKILL)
		// Should even that not end it, nobody waits for its output.
		deadline := time.Now().Add(drainOutput)
		_ = k.stdout.SetReadDeadline(deadline)
		_ = k.stderr.SetReadDeadline(deadline)
	}
	defer context.AfterFunc(ctx, end)()

	var words lastWords
	said := make(chan struct{})
	go func() {
		defer close(said)
		readLines(k.stderr, func(text []byte, _ bool) { words.add(parseEntry(text)) })
	}()
	// An error here is the read deadline: the process was killed, and is reported as that.
	output, _ := io.ReadAll(io.LimitReader(k.stdout, describeOutput+1))
	if len(output) > describeOutput {
		end()
		return nil, fmt.Errorf("more than %d bytes of output", describeOutput)
	}
	select {
	case <-k.dead:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	<-said
	if how := k.exit(); how != exitedWell {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, withLastWords(errors.New(how), &words)
	}
	return output, nil
}

// forget drops what is known of files that are no longer there.
func (d *describer) forget(installed []Installed) {
	d.guard.Lock()
	defer d.guard.Unlock()
	for path := range d.known {
		if !slices.ContainsFunc(installed, func(in Installed) bool { return in.Path == path }) {
			delete(d.known, path)
		}
	}
}
