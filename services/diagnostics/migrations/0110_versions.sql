-- migrate:up
call versioned('lab_order', 'lab_orders', 'versioned', 'id');
call versioned('lab_order_event', 'lab_order_events', 'append_only', 'id');
