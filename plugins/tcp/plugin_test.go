package tcp_test

import (
	"testing"

	"github.com/halo-ha/halo/plugins/tcp"
)

func TestPluginDescribesItself(t *testing.T) {
	described, err := tcp.Plugin().Describe()
	if err != nil {
		t.Fatal(err)
	}
	if described.Name != tcp.Name || len(described.Types) != 1 || described.Types[0].Name != "tcp" {
		t.Errorf("described as %+v, want %s with the type tcp", described, tcp.Name)
	}
}
