package ipvs

import "strconv"

// Verb is what an operation does.
type Verb uint8

// The verbs.
const (
	AddService Verb = iota + 1
	EditService
	DeleteService
	AddDestination
	EditDestination
	DeleteDestination
)

// String returns the verb as words, for errors: "add service".
func (v Verb) String() string {
	switch v {
	case AddService:
		return "add service"
	case EditService:
		return "edit service"
	case DeleteService:
		return "delete service"
	case AddDestination:
		return "add destination"
	case EditDestination:
		return "edit destination"
	case DeleteDestination:
		return "delete destination"
	default:
		return "verb " + strconv.Itoa(int(v))
	}
}

// Op is one change of the kernel's table.
type Op struct {
	Verb Verb
	// Service is the service to add, to edit or to delete (then as it was), or
	// the service that the destination belongs to. It comes without
	// destinations: an added service gets them by operations of their own.
	Service Service
	// Destination is the one to add, to edit, or to delete (then as it was).
	// It is zero for the three verbs about services.
	Destination Destination
	// WasService and WasDestination are what an edit replaces.
	WasService     Service
	WasDestination Destination
}

// AboutDestination reports whether the operation changes a destination.
func (o *Op) AboutDestination() bool {
	return o.Verb >= AddDestination
}

// String returns the operation as the arguments of the ipvsadm command that
// would do it.
func (o *Op) String() string {
	return string(o.AppendText(nil))
}

// AppendText appends what String returns.
func (o *Op) AppendText(b []byte) []byte {
	switch o.Verb {
	case AddService:
		return o.Service.appendLine(b, "-A")
	case EditService:
		return o.Service.appendLine(b, "-E")
	case DeleteService:
		return o.Service.Key.appendFlag(append(b, "-D "...))
	case AddDestination:
		return o.Destination.appendLine(b, "-a", o.Service.Key)
	case EditDestination:
		return o.Destination.appendLine(b, "-e", o.Service.Key)
	case DeleteDestination:
		b = o.Service.Key.appendFlag(append(b, "-d "...))
		return o.Destination.Address.AppendTo(append(b, " -r "...))
	default:
		return append(b, o.Verb.String()...)
	}
}
