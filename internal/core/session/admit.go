package session

// Admit registers a connection whose face learns only from a frame whose it is: with an app, under the user that counts
// and ends it. It is answered by Admitted. Limit is how many connections the user may have at once, 0 without limit.
type Admit struct {
	App   string
	User  string
	Limit int
}

// Admitted answers Admit. Err is a fault: LimitExceeded beyond the limit.
type Admitted struct{ Err error }

func (Admit) effect()   {}
func (Admitted) input() {}
