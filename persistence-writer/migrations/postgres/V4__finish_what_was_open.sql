-- What the system before Pinion left open is not Pinion's and will never move again: it is finished, so that queries for
-- what is open see the journal's rows only. Rows of before have no `seq`. No row is deleted, and what a changed column
-- said before stays in `metadata`.

UPDATE orders SET
    metadata = coalesce(metadata, '{}') || jsonb_build_object('before_pinion', jsonb_build_object(
        'status', status, 'status_message', status_message)),
    status = 'CANCELLED',
    status_message = 'Order of the system before Pinion, cancelled when Pinion took the database over',
    cancelled_at = now() AT TIME ZONE 'UTC',
    updated_at = now() AT TIME ZONE 'UTC'
WHERE seq IS NULL AND status IN ('PENDING', 'SUBMITTED', 'OPEN');

-- Closed when it was last touched, not today: it adds nothing to what is realised today.
UPDATE positions SET
    metadata = coalesce(metadata, '{}') || jsonb_build_object('before_pinion', jsonb_build_object(
        'quantity', quantity, 'unrealized_pnl', unrealized_pnl,
        'message', 'Position of the system before Pinion, open when Pinion took the database over')),
    quantity = 0,
    unrealized_pnl = 0,
    closed_at = coalesce(updated_at, opened_at, now() AT TIME ZONE 'UTC')
WHERE seq IS NULL AND closed_at IS NULL;

UPDATE kill_switch_events SET
    metadata = coalesce(metadata, '{}') || jsonb_build_object('before_pinion', jsonb_build_object('status', status)),
    status = 'DEACTIVATED',
    deactivated_at = coalesce(deactivated_at, now() AT TIME ZONE 'UTC'),
    deactivated_by = 'Pinion, taking the database over'
WHERE seq IS NULL AND (deactivated_at IS NULL OR status = 'ACTIVE');
