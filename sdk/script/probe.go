package script

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/schema"
)

// Probe is a program that answers by its exit code, and is asked again and
// again: a check or a tracker is one. It is used by one goroutine at a time.
type Probe struct {
	script  *Script
	command []string
	dialect Dialect
}

// Probe returns the Probe of a program and its arguments, if the program could
// be run at this moment (see Verify). An error blames the setting "command",
// which is what the key is to be called.
func (r *Runner) Probe(command []string, d Dialect) (*Probe, error) {
	for i, argument := range command {
		if strings.ContainsRune(argument, 0) {
			return nil, schema.Invalid(fmt.Sprintf("command[%d]", i), "", "holds a zero byte")
		}
	}
	if len(command) == 0 || command[0] == "" {
		return nil, schema.Invalid("command[0]", "an absolute path", "names no program")
	}
	if err := Verify(command[0]); err != nil {
		return nil, schema.Invalid("command[0]", "", "%v", err)
	}
	return &Probe{script: r.Script(), command: command, dialect: d}, nil
}

// Run runs the program once and reads its exit code. Facts ("HALO_NAME=value")
// are added to its environment, with HALO_TIMEOUT, the seconds it has.
//
// It returns when the program's whole process group has ended, which may be
// after the deadline: by then the SDK has told of the timeout, and it starts no
// second copy. A program that cannot be executed is not known to be good or bad.
func (p *Probe) Run(ctx context.Context, facts ...string) check.Result {
	if deadline, ok := ctx.Deadline(); ok {
		facts = append(facts, "HALO_TIMEOUT="+strconv.FormatFloat(time.Until(deadline).Seconds(), 'f', 3, 64))
	}
	ended, err := p.script.Run(ctx, Command{Args: p.command, Env: Environment(os.Environ(), facts...)})
	switch {
	case err == nil:
		return p.dialect.Verdict(ended)
	case errors.Is(err, context.DeadlineExceeded):
		return check.Failed(check.ReasonTimeout, withLine("still running at the timeout, ended", ended.Output))
	case errors.Is(err, ErrAlive) && !errors.Is(ctx.Err(), context.Canceled):
		return check.Failed(check.ReasonTimeout, err.Error())
	}
	// It could not be executed, or the probe is no longer wanted.
	return check.NotKnown(check.ReasonLocalError, err.Error())
}
