package daemon

import (
	"context"
	"log/slog"

	"github.com/halo-ha/halo/core/config"
	"github.com/halo-ha/halo/core/pluginhost"
)

// Installed lists the plugins that the configuration at path would find,
// without a daemon. The file may be missing or wrong: its plugin_dirs are used
// as far as they can be read, else the default ones.
func Installed(ctx context.Context, path string, logger *slog.Logger) ([]pluginhost.Installed, error) {
	c := &catalogue{discover: discoverAlone(ctx, logger)}
	config.Load(path, c)
	if c.types == nil { // the file did not get as far as [global]
		config.Parse(path, nil, c)
	}
	return c.installed, c.err
}
