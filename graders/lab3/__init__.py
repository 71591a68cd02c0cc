"""Lab 3: chaos and disaster recovery. So far its records and the measuring of recovery; it is no lab yet."""
