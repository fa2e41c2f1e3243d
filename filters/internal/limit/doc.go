// Package limit keeps token-rate limits in Envoy's shared data, where all
// workers of one Envoy see them.
//
// # One number per bucket
//
// A token bucket of limit tokens that refills at limit tokens per minute needs
// no level and no refill job (GCRA, the generic cell rate algorithm of ATM Forum
// TM 4.1). It is one instant, the theoretical arrival time (tat): when it will
// be full again. A token is worth 60 s ÷ limit. Charging c tokens moves tat to
// max(tat, now) + c × 60 s ÷ limit; a request passes if that leaves it at most
// 60 s ahead of now. How far ahead it is says everything else: what remains,
// when the bucket is full, how long a refused request has to wait.
//
// An LLM request knows its cost only when it is over. It reserves an estimate
// before it goes out and settles the difference afterwards. With 1,000 tokens a
// minute (60 ms a token), from a full bucket:
//
//	at   what                            tat    ahead
//	0 s  A reserves 500                  30 s   30 s   passes, 500 remain
//	0 s  B reserves 400                  54 s   54 s   passes, 100 remain
//	0 s  C reserves 200                  66 s   66 s   refused, would pass in 6 s
//	2 s  A settles: 100 used of 500      30 s   28 s   24 s go back, 533 remain
//	2 s  C reserves 200                  42 s   40 s   passes, 333 remain
//	3 s  B settles: 900 used of 400      72 s   69 s   30 s more: in debt
//	3 s  D reserves 1                    72 s   69 s   refused, would pass in 9.06 s
//
// What is used beyond a reservation is charged when it is known, as debt if need
// be, and nothing passes before it has flowed back. The key of a bucket does not
// hold its rate, and time is what the rates of different requests have in
// common: half a bucket is 30 s at any of them.
//
// # What a refund may give
//
// Time and refunds must not give back the same tokens twice. A takes all 1,000
// at 0 s; at 59 s the bucket holds 983 again, B takes 950 of them, then A settles
// with nothing used. A refund of 1,000 would let another 1,000 pass in that same
// second. It is not enough to ask whether the bucket has been full in the
// meantime: it has not.
//
// So the bucket is looked at as a queue. Charges join it at the end, tat; time
// works it off at the front, now. A settlement cuts out of the queue what its
// reservation did not use, as far as it is still there: up to where the queue
// ended right after the reservation, less what has been cut out since. In the
// example the queue ended at 60 s, so 1 s goes back, 16 tokens; B's 57 s stay.
// Tokens that time has given back in the meantime count as the used ones first.
// A refund therefore falls short only where the bucket has drained behind it. A
// caller that keeps its bucket busy and reserves k times what it uses has all
// its refunds while its requests take less than 60 s ÷ k; longer ones weigh more
// than they used, up to what they reserved.
//
// A bucket that is settled in this way is as if each request had charged from
// the start what it did not give back. Hence the promise: over any window that
// ends with a request that passes, what all its requests use is at most
// limit × window ÷ 60 s + limit.
//
// # Where buckets are
//
// Shared data can neither delete nor list, so its keys are fixed in number: a
// table is [Groups] values, and a group is one value with seven slots for
// buckets and an eighth. A key hashes to a group, seeded at random per Envoy, so
// that finding, claiming and charging its slot is one Get and one Set with
// compare-and-swap. A slot whose bucket is full again says nothing that an empty
// one does not and may be claimed by another key. Where all seven are in use, a
// new key shares the eighth slot with other new ones, and may be refused for
// what they used; a key with a slot never is. The eighth slot is set apart so
// that it need not be taken from a key that holds one. A key that moves from
// there to a slot of its own starts with what is charged in the shared one, and
// a debt in there is cut at one bucket, so that nobody keeps others out for more
// than a minute.
//
// Losing 64 swaps in a row refuses a reservation and gives up a settlement.
// Both, and charges in shared slots, are counted; see [Counts].
package limit
