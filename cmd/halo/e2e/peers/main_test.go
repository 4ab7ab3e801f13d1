package peers

import (
	"testing"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

func TestMain(m *testing.M) { lab.Main(m, 36) }
