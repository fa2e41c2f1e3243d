package chat

// Front is the empty span behind the opening brace of the body, where a member
// can be put in.
func (r *Request) Front() Span { return Span{r.top, r.top} }
