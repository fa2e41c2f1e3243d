package limit

import "time"

// bucket is the state of one token bucket.
type bucket struct {
	key      Key   // whose it is; 0: nobody's
	tat      span  // theoretical arrival time: when it is full again
	full     int64 // when it was last known full, ns
	refunded span  // cut out of the queue since then, but for its end
}

// at returns b as it is now: where it has filled up, it starts afresh.
func (b bucket) at(now int64) bucket {
	if (span{ns: now}).less(b.tat) {
		return b
	}
	return bucket{key: b.key, tat: span{ns: now}, full: now}
}

// room is the time's worth of tokens in b; negative if it is in debt.
func (b bucket) room(now int64) span {
	return span{ns: now + period, frac: slack}.minus(b.tat)
}

// wait is how long until need fits into b; at most 0 if it does now. A need of
// nothing fits unless b is empty.
func (b bucket) wait(now int64, need span) time.Duration {
	return time.Duration(need.max(something).minus(b.room(now)).ceil())
}

func (b bucket) standing(now, limit int64) Standing {
	room := b.room(now)
	return Standing{
		Remaining: room.tokens(limit),
		Reset:     time.Duration(span{ns: period}.minus(room).ceil()),
	}
}

// charge takes c from b, which is left at most deepest ns from full.
func (b bucket) charge(now int64, c span, deepest int64) bucket {
	b.tat = b.tat.plus(c).min(span{ns: now + deepest})
	return b
}

// refund gives back what h did not use, as far as time has not given it back
// already. A bucket is a queue of charges that time works off from the front.
// What was charged up to h reaches to h.end, less what refunds have cut out of
// the queue since. Some of that may have been cut out behind h, but then at
// least h's own charge is still there. What lies before now has flowed back;
// where the bucket has been full since, all of it has.
func (b bucket) refund(now int64, h *Held, unused span) bucket {
	if b.full != h.full {
		return b
	}
	own := h.taken.plus(span{ns: h.at})
	left := h.end.minus(b.refunded).max(own).minus(span{ns: now})
	back := left.min(unused).max(span{})
	if b.end() != h.end {
		b.refunded = b.refunded.plus(back)
	} // else h is the last in the queue and nobody's place changes
	b.tat = b.tat.minus(back)
	return b
}

// end is how far the queue would reach without its refunds.
func (b bucket) end() span { return b.tat.plus(b.refunded) }
