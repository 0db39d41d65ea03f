-- migrate:up
call versioned('checkin', 'partner_checkins', 'versioned', 'id');
call versioned('label', 'partner_label_queue', 'versioned', 'id');
call versioned('stock_level', 'partner_stock_levels', 'versioned', 'partner_id', 'site_code', 'sku');
