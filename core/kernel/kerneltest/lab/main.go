package lab

import (
	"flag"
	"os"
	"strconv"
	"testing"
)

// Main is for TestMain: it runs the tests with as many at once as parallel
// says, unless the command line says otherwise. Tests of whole programs spend
// nearly all of their time waiting, so more of them than there are processors
// do not disturb each other.
func Main(m *testing.M, parallel int) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		if err := f.Value.Set(strconv.Itoa(parallel)); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
