// Package conformance holds any plugin program, in whatever language, to what
// halo's core relies on.
//
// Run starts the program many times as the core would and talks to it over the
// real handshake; it looks at nothing but what a host can see. It needs no
// privileges and no network but what the type under test probes. The SDK's
// sdktest.Conformance wraps it for tests, `halo plugin test` for people. Read
// Options, then the cases in the files named after their groups.
package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/schema"
)

// Options says what to test and with what.
type Options struct {
	// Path is the program. Env is added to the few variables it gets.
	Path string
	Env  []string
	// Type is the type of check or tracker whose probes are run, with these
	// Settings (a JSON object), a check against this Target. The outcome does not
	// matter, but an answer must come within a second. Empty: the first type that
	// needs no settings; the target is then a closed port of loopback. A plugin
	// without such a type needs them.
	Type     string
	Settings json.RawMessage
	Target   check.Target
	// Patience is how long to wait for what must come (default 20 s). It is
	// generous because a busy machine is not the plugin's fault.
	Patience time.Duration
}

// Verdict is the end of one case.
type Verdict struct {
	// Group and Name say which rule it is about.
	Group, Name string
	// Err says how the plugin broke it; nil is a pass.
	Err  error
	Took time.Duration
}

// testCase is one rule.
type testCase struct {
	group, name string
	run         func(ctx context.Context, k *kit) error
}

// kit is what a case works with.
type kit struct {
	Options

	described schema.Plugin
	kind      schema.Kind // of Type
}

// Cases lists the rules as "group/name", in the order Run takes them.
func Cases() []string {
	all := cases()
	names := make([]string, 0, len(all))
	for _, c := range all {
		names = append(names, c.group+"/"+c.name)
	}
	return names
}

func cases() []testCase {
	var all []testCase
	for _, group := range [][]testCase{
		handshakeCases(), describeCases(), validateCases(), sessionCases(),
		reloadCases(), removeCases(), lifelineCases(), garbageCases(),
	} {
		all = append(all, group...)
	}
	return all
}

// together is how many cases run at once: most of their time is waiting.
const together = 4

// Run runs every case, a few at a time, each against processes of its own, and
// reports them in the order of Cases from one goroutine. The error is about the kit
// itself or about a program that cannot even describe itself; whether the
// plugin conforms is in the verdicts.
func Run(ctx context.Context, o Options, report func(Verdict)) error {
	k, err := newKit(ctx, o)
	if err != nil {
		return err
	}
	all := cases()
	verdicts := make([]chan Verdict, len(all))
	for i := range verdicts {
		verdicts[i] = make(chan Verdict, 1)
	}
	var next atomic.Int64
	for range together {
		go func() {
			for i := next.Add(1) - 1; i < int64(len(all)); i = next.Add(1) - 1 {
				verdicts[i] <- k.judge(ctx, all[i])
			}
		}()
	}
	for _, v := range verdicts {
		report(<-v)
	}
	return ctx.Err()
}

func newKit(ctx context.Context, o Options) (*kit, error) {
	if o.Patience == 0 {
		o.Patience = 20 * time.Second
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	o.Path = path
	k := &kit{Options: o}
	if k.described, err = k.describe(ctx); err != nil {
		return nil, err
	}
	if err := k.chooseType(); err != nil {
		return nil, err
	}
	return k, nil
}

func (k *kit) judge(ctx context.Context, c testCase) Verdict {
	begin := time.Now()
	err := ctx.Err()
	if err == nil {
		err = c.run(ctx, k)
	}
	return Verdict{Group: c.group, Name: c.name, Err: err, Took: time.Since(begin)}
}

// chooseType finds a type to run probes of.
func (k *kit) chooseType() error {
	if k.Type != "" {
		for _, t := range k.described.Types {
			if t.Name == k.Type && probed(t.Kind) {
				k.kind = t.Kind
				return nil
			}
		}
		return fmt.Errorf("type %q: not provided by %s", k.Type, k.described.Name)
	}
	for _, t := range k.described.Types {
		if probed(t.Kind) && len(schema.Validate(nil, t)) == 0 {
			k.Type, k.kind = t.Name, t.Kind
			return nil
		}
	}
	return errors.New("no type of check or tracker of this plugin works without settings: say which type, settings and target to use")
}

// probed reports whether types of a kind are run as probes.
func probed(kind schema.Kind) bool { return kind == schema.KindCheck || kind == schema.KindTrack }
