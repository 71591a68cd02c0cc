package controller

import (
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// heardWithin is how long the cache may take to hear of a deletion.
const heardWithin = 2500 * time.Millisecond

// deletions remembers which pods were deleted a moment ago, so that none is deleted again before the cache knows.
type deletions struct {
	mutex sync.Mutex
	at    map[types.UID]time.Time
}

func (d *deletions) note(uid types.UID, now time.Time) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	maps.DeleteFunc(d.at, func(_ types.UID, at time.Time) bool { return now.Sub(at) >= heardWithin })
	if d.at == nil {
		d.at = map[types.UID]time.Time{}
	}
	d.at[uid] = now
}

func (d *deletions) lately(uid types.UID, now time.Time) bool {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	at, known := d.at[uid]
	return known && now.Sub(at) < heardWithin
}
